-- Takes what a request costs from a bucket and from quotas: from all of them, or from none.
--
-- KEYS[1]        the bucket, holding "<microseconds> <parts>": the instant at which it is full again
-- KEYS[2 ..]     quotas, each holding "<begins> <ends> <rest> <booked>": what is left of the lots that were booked in the
--                database for the caller, and how much was booked in all, of the period between two microseconds
-- ARGV[1 .. 3]   the bucket's rate (tokens per second), burst (tokens), and the tokens to take
-- ARGV[4]        parts that are missing at least, for when the server may have lost the bucket
-- ARGV[5]        parts that are missing where nothing is stored, for when the server was emptied or its clock was set
-- ARGV[6]        parts that are owed: they are taken first and in any case, down to a bucket that lacks a second burst
-- ARGV[7]        the time in microseconds instead of the server's, or "": keys then do not expire, because expiry goes by
--                the server's clock
-- ARGV[8]        the tokens to take from each quota
-- ARGV[9 ..]     of each quota its limit; then, if there are any, of each quota "" or a lot that was booked just now,
--                "<begins> <ends> <tokens> <booked> <kept>": one that is not kept counts only if the request is admitted
--
-- Answers { now, outcome, microseconds and parts of the bucket afterwards, then rest and booked of each quota }, where the
-- outcome is 1 (admitted), 0 (the bucket has too little) or 2 (the bucket has enough, a quota has not) and a rest of -1
-- says that nothing is known of the quota.
--
-- A part is 1/rate of a microsecond. An instant in parts alone does not fit a double's 53 bits, a pair does;
-- every number below is a whole one, so the arithmetic is exact.

local SECOND_US = 1000000

local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local missing, presumed, owed, given = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now = given
if not now then
  local time = redis.call('TIME')
  now = time[1] * SECOND_US + time[2]
end

local function plus(us, part, span)
  local span_part = math.fmod(span, rate)
  us, part = us + (span - span_part) / rate, part + span_part
  if part >= rate then
    return us + 1, part - rate
  end
  return us, part
end

local function is_later(us, part, than_us, than_part)
  return us > than_us or (us == than_us and part > than_part)
end

local latest_us, latest_part = plus(now, 0, burst * SECOND_US)
local furthest_us, furthest_part = plus(now, 0, 2 * burst * SECOND_US)

-- A missing bucket is full but for what is presumed. What is not a bucket's state (another type, other text, an instant that no
-- bucket can have now) counts as missing.
local function stored()
  local value = redis.pcall('GET', KEYS[1])
  if type(value) == 'string' then
    local us, part = string.match(value, '^(%d+) (%d+)$')
    us, part = tonumber(us), tonumber(part)
    if us and us >= now then
      part = math.min(part, rate - 1)  -- the rate may have been lowered since
      if not is_later(us, part, furthest_us, furthest_part) then
        return us, part
      end
    end
  end
  return plus(now, 0, presumed)
end

local function set(key, value, until_us)
  if given then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil((until_us - now) / 1000)))
  end
end

-- What is known of a quota in the period that is now; another period's counts as nothing, as does what is no such state.
local function counted(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'string' then
    local begins, ends, rest, booked = string.match(value, '^(%d+) (%d+) (%d+) (%d+)$')
    if begins and tonumber(begins) <= now and now < tonumber(ends) and tonumber(rest) <= tonumber(booked) then
      return { begins = begins, ends = ends, rest = tonumber(rest), booked = tonumber(booked) }
    end
  end
end

-- The same with a lot that was booked just now; one of a period that has ended meanwhile is lost.
local function with_lot(state, text)
  local begins, ends, tokens, booked, kept = string.match(text, '^(%d+) (%d+) (%d+) (%d+) ([01])$')
  if not begins or now < tonumber(begins) or now >= tonumber(ends) then
    return state
  end
  if not state or state.ends ~= ends then
    state = { begins = begins, ends = ends, rest = 0, booked = 0 }
  end
  state.rest = state.rest + tonumber(tokens)
  state.booked = math.max(state.booked, tonumber(booked), state.rest)
  state.lent = kept == '0' and tonumber(tokens) or 0
  state.is_new = true
  return state
end

local stored_us, stored_part = stored()
local us, part = stored_us, stored_part
local known_us, known_part = plus(now, 0, missing)
if is_later(known_us, known_part, us, part) then
  us, part = known_us, known_part
end
us, part = plus(us, part, owed)
if is_later(us, part, furthest_us, furthest_part) then
  us, part = furthest_us, furthest_part
end
local end_us, end_part = plus(us, part, cost * SECOND_US)
local outcome = is_later(end_us, end_part, latest_us, latest_part) and 0 or 1

local states, tokens = {}, tonumber(ARGV[8])
for i = 2, #KEYS do
  local limit, lot = tonumber(ARGV[7 + i]), ARGV[6 + #KEYS + i]
  local state = counted(KEYS[i])
  if lot and lot ~= '' then
    state = with_lot(state, lot)
  end
  states[i] = state
  -- A limit that was lowered below what is booked already is spent from what is at hand.
  local usable = state and state.rest - math.max(0, state.booked - limit) or 0
  if outcome == 1 and usable < tokens then
    outcome = 2
  end
end

if outcome == 1 then
  us, part = end_us, end_part
end
local is_changed = us ~= stored_us or part ~= stored_part or presumed > 0
if is_changed and (outcome == 1 or owed > 0 or missing > 0 or presumed > 0) then
  -- A full bucket needs no key, so a key lives until then.
  set(KEYS[1], string.format('%.0f %.0f', us, part), us + 1)
end
local answer = { now, outcome, us, part }
for i = 2, #KEYS do
  local state = states[i]
  if not state then
    answer[2 * i + 1], answer[2 * i + 2] = -1, 0
  else
    if outcome == 1 then
      state.rest = state.rest - tokens
    elseif state.is_new then
      state.rest = state.rest - state.lent
    end
    if state.is_new or (outcome == 1 and tokens > 0) then
      local value = string.format('%s %s %.0f %.0f', state.begins, state.ends, state.rest, state.booked)
      set(KEYS[i], value, tonumber(state.ends))
    end
    answer[2 * i + 1], answer[2 * i + 2] = state.rest, state.booked
  end
end
return answer
