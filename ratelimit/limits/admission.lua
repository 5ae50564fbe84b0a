-- Charges requests, one after another: each to a bucket and to quotas, to all of them or to none. A debt is for work
-- that is done: its bucket gives the tokens even if it has too few, and its quotas may be exceeded.
--
-- KEYS           for each request its bucket, "<microseconds> <parts>": the instant at which the bucket is full again;
--                then its quotas, "<tokens>": how many are used in the period that the key names
-- ARGV[1]        "", or an instant in microseconds that replaces the server's clock. Then keys do not expire, because
--                expiry uses the server's clock
-- ARGV[2]        how many requests there are
-- ARGV[3 ..]     for each request the rate (tokens per second), the burst (tokens), the tokens to take, 1 for a debt or
--                0, and how many quotas it has; then for each quota the tokens to count, the limit, the begin and
--                the end of its period (instants in microseconds), and how many tokens are used at least, or -1
--
-- Returns { now, then for each request the outcome, its bucket's microseconds and parts, and the used tokens of each
-- quota }, as they are after it. The outcome is 1 (charged), 0 (the bucket has too few tokens) or 2 (the bucket has
-- enough tokens, a quota has not, or its count is unknown). The used tokens are -1 if Redis has no count, or now is not
-- in the period.
--
-- A part is 1/rate of a microsecond. An instant counted in parts needs more than the 53 bits of a double, so it is a
-- pair (microseconds, parts). Every number below is an integer, so the arithmetic is exact.

local SECOND_US = 1000000
local DEBT_BURSTS = 1  -- as in token_bucket.py
local COUNT_DIGITS = 16
local INSTANT_DIGITS = 16  -- of microseconds since the epoch, until the year 2286

local KEYS, ARGV, call, redis_pcall, tonumber = KEYS, ARGV, redis.call, redis.pcall, tonumber
local fmod, format, match = math.fmod, string.format, string.match

local given, requests = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = given
if not now then
  local time = call('TIME')
  now = time[1] * SECOND_US + time[2]
end

local function plus(us, part, span, rate)
  local span_part = fmod(span, rate)
  us, part = us + (span - span_part) / rate, part + span_part
  if part >= rate then
    return us + 1, part - rate
  end
  return us, part
end

local function is_later(us, part, than_us, than_part)
  return us > than_us or (us == than_us and part > than_part)
end

local function set(key, value, until_us)
  if given then
    call('SET', key, value)
  else
    call('SET', key, value, 'PX', format('%.0f', math.ceil((until_us - now) / 1000)))
  end
end

-- The stored instant, and whether it was corrected. A bucket that is missing or malformed is full. If the instant is
-- later than that of the deepest debt (the clock was set back), the bucket has that debt. This correction is written
-- even if the request is refused, so that the bucket fills up from now on.
local function stored(key, rate, deepest_us, deepest_part)
  local value = redis_pcall('GET', key)
  if type(value) == 'string' then
    local us, part = match(value, '^(%d+) (%d+)$')
    local is_instant = us and #us <= INSTANT_DIGITS
    us, part = tonumber(us), tonumber(part)
    if is_instant and us >= now then
      part = math.min(part, rate - 1)  -- the rate may have been lowered since
      if is_later(us, part, deepest_us, deepest_part) then
        return deepest_us, deepest_part, true
      end
      return us, part, false
    end
  end
  return now, 0, false
end

-- How many tokens of a quota are used, at least `least`; -1 if nobody knows. A malformed value counts as none.
local function used_of(key, begins, ends, least)
  if now < begins or now >= ends then
    return -1
  end
  local value, used = redis_pcall('GET', key), -1
  if type(value) == 'string' and #value <= COUNT_DIGITS and match(value, '^%d+$') then
    local count = tonumber(value)
    used = format('%.0f', count) == value and count or -1
  end
  if least > used then
    used = least
    set(key, format('%.0f', used), ends)
  end
  return used
end

local answer, k, a = { now }, 1, 3
for _ = 1, requests do
  local bucket = KEYS[k]
  local rate, burst, cost = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local is_debt, quotas = ARGV[a + 3] == '1', tonumber(ARGV[a + 4])
  a = a + 5
  local empty_us, empty_part = plus(now, 0, burst * SECOND_US, rate)
  local deepest_us, deepest_part = plus(empty_us, empty_part, DEBT_BURSTS * burst * SECOND_US, rate)
  local us, part, is_clamped = stored(bucket, rate, deepest_us, deepest_part)
  local end_us, end_part = plus(us, part, cost * SECOND_US, rate)
  local outcome, used = 1, {}
  if is_debt then
    if is_later(end_us, end_part, deepest_us, deepest_part) then
      end_us, end_part = deepest_us, deepest_part
    end
  elseif is_later(end_us, end_part, empty_us, empty_part) then
    outcome = 0
  end
  for i = 1, quotas do
    local q = a + 5 * (i - 1)
    local tokens, limit = tonumber(ARGV[q]), tonumber(ARGV[q + 1])
    used[i] = used_of(KEYS[k + i], tonumber(ARGV[q + 2]), tonumber(ARGV[q + 3]), tonumber(ARGV[q + 4]))
    local is_short = used[i] < 0 or (not is_debt and tokens > 0 and used[i] + tokens > limit)
    if outcome == 1 and is_short then
      outcome = 2
    end
  end
  if outcome == 1 then
    us, part = end_us, end_part
  end
  if is_clamped or (outcome == 1 and cost > 0) then
    -- A full bucket needs no key, so the key expires when the bucket is full.
    set(bucket, format('%.0f %.0f', us, part), us + 1)
  end
  local n = #answer
  answer[n + 1], answer[n + 2], answer[n + 3] = outcome, us, part
  for i = 1, quotas do
    local tokens = ARGV[a + 5 * (i - 1)]
    if outcome == 1 and tokens ~= '0' then
      used[i] = call('INCRBY', KEYS[k + i], tokens)
    end
    answer[n + 3 + i] = used[i]
  end
  k, a = k + 1 + quotas, a + 5 * quotas
end
return answer
