-- Charges a request to a bucket and to quotas: to all of them, or to none.
--
-- KEYS[1]        the bucket: "<microseconds> <parts>", the instant at which it is full again
-- KEYS[2 ..]     the quotas: "<begins> <ends> <unspent> <reserved>": the period (two instants in microseconds), how
--                many tokens the database has reserved in it, and how many of those are unspent
-- ARGV[1 .. 3]   the bucket's rate (tokens per second), burst (tokens), and the tokens to take
-- ARGV[4]        "", or an instant in microseconds that replaces the server's clock. Then keys do not expire, because
--                expiry uses the server's clock
-- ARGV[5]        the tokens to take from each quota
-- ARGV[6 ..]     the limit of each quota; then, if there are new reservations, one for each quota, or "":
--                "<begins> <ends> <tokens> <reserved>". Reservations are stored whatever the outcome
--
-- Returns { now, outcome, the bucket's microseconds, its parts, then unspent and reserved of each quota }, as they are
-- after the call. The outcome is 1 (admitted), 0 (the bucket has too few tokens) or 2 (the bucket has enough tokens, a
-- quota has not). unspent is -1 if Redis has no balance of the quota.
--
-- A part is 1/rate of a microsecond. An instant counted in parts needs more than the 53 bits of a double, so it is a
-- pair (microseconds, parts). Every number below is an integer, so the arithmetic is exact.

local SECOND_US = 1000000
local INSTANT_DIGITS = 16  -- of microseconds since the epoch, until the year 2286

local rate, burst, cost, given = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
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

-- The stored instant, and whether it was corrected. A bucket that is missing or malformed is full. If the instant is
-- later than that of an empty bucket (the clock was set back), the bucket is empty. This correction is written even if
-- the request is refused, so that the bucket fills up from now on.
local function stored()
  local value = redis.pcall('GET', KEYS[1])
  if type(value) == 'string' then
    local us, part = string.match(value, '^(%d+) (%d+)$')
    local is_instant = us and #us <= INSTANT_DIGITS
    us, part = tonumber(us), tonumber(part)
    if is_instant and us >= now then
      part = math.min(part, rate - 1)  -- the rate may have been lowered since
      if is_later(us, part, latest_us, latest_part) then
        return latest_us, latest_part, true
      end
      return us, part, false
    end
  end
  return now, 0, false
end

local function set(key, value, until_us)
  if given then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil((until_us - now) / 1000)))
  end
end

-- The balance of a quota in the current period; nil if the stored value is of another period, malformed or missing.
local function balance_in(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'string' then
    local begins, ends, unspent, reserved = string.match(value, '^(%d+) (%d+) (%d+) (%d+)$')
    if begins and tonumber(begins) <= now and now < tonumber(ends) and tonumber(unspent) <= tonumber(reserved) then
      return { begins = begins, ends = ends, unspent = tonumber(unspent), reserved = tonumber(reserved) }
    end
  end
end

-- The balance with a new reservation added. A reservation whose period has ended meanwhile is dropped.
local function with_reservation(balance, text)
  local begins, ends, tokens, reserved = string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
  if not begins or now < tonumber(begins) or now >= tonumber(ends) then
    return balance
  end
  if not balance or balance.ends ~= ends then
    balance = { begins = begins, ends = ends, unspent = 0, reserved = 0 }
  end
  balance.unspent = balance.unspent + tonumber(tokens)
  balance.reserved = math.max(balance.reserved, tonumber(reserved), balance.unspent)
  balance.is_new = true
  return balance
end

local us, part, is_clamped = stored()
local end_us, end_part = plus(us, part, cost * SECOND_US)
local outcome = is_later(end_us, end_part, latest_us, latest_part) and 0 or 1

local balances, tokens = {}, tonumber(ARGV[5])
for i = 2, #KEYS do
  local limit, reservation = tonumber(ARGV[4 + i]), ARGV[3 + #KEYS + i]
  local balance = balance_in(KEYS[i])
  if reservation and reservation ~= '' then
    balance = with_reservation(balance, reservation)
  end
  balances[i] = balance
  -- If the limit was lowered below the reserved tokens, the excess is not usable.
  local usable = balance and math.max(0, balance.unspent - math.max(0, balance.reserved - limit)) or 0
  if outcome == 1 and usable < tokens then
    outcome = 2
  end
end

if outcome == 1 then
  us, part = end_us, end_part
end
if is_clamped or (outcome == 1 and cost > 0) then
  -- A full bucket needs no key, so the key expires when the bucket is full.
  set(KEYS[1], string.format('%.0f %.0f', us, part), us + 1)
end
local answer = { now, outcome, us, part }
for i = 2, #KEYS do
  local balance = balances[i]
  if not balance then
    answer[2 * i + 1], answer[2 * i + 2] = -1, 0
  else
    if outcome == 1 then
      balance.unspent = balance.unspent - tokens
    end
    if balance.is_new or (outcome == 1 and tokens > 0) then
      local value = string.format('%s %s %.0f %.0f', balance.begins, balance.ends, balance.unspent, balance.reserved)
      set(KEYS[i], value, tonumber(balance.ends))
    end
    answer[2 * i + 1], answer[2 * i + 2] = balance.unspent, balance.reserved
  end
end
return answer
