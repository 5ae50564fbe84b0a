-- Charges requests to a bucket each, one after another; or one request to a bucket and to quotas: to all of them, or
-- to none. A debt is for work that is done: its bucket gives the tokens even if it has too few.
--
-- KEYS           the buckets: "<microseconds> <parts>", the instant at which the bucket is full again; then, if there
--                is only one bucket, the quotas: "<begins> <ends> <unspent> <reserved>": the period (two instants in
--                microseconds), how many tokens the database has reserved in it, and how many of those are unspent
-- ARGV[1]        "", or an instant in microseconds that replaces the server's clock. Then keys do not expire, because
--                expiry uses the server's clock
-- ARGV[2]        how many buckets there are
-- ARGV[3 ..]     of each bucket: the rate (tokens per second), the burst (tokens), the tokens to take, and 1 for a debt
--                or 0
-- then           if there are quotas: the tokens to take from each; the limit of each; and, if there are new
--                reservations, one for each quota, or "": "<begins> <ends> <tokens> <reserved>". Reservations are
--                stored whatever the outcome
--
-- Returns { now, then for each bucket the outcome, its microseconds and its parts, then unspent and reserved of each
-- quota }, as they are after the call. The outcome is 1 (admitted), 0 (the bucket has too few tokens) or 2 (the bucket
-- has enough tokens, a quota has not). unspent is -1 if Redis has no balance of the quota.
--
-- A part is 1/rate of a microsecond. An instant counted in parts needs more than the 53 bits of a double, so it is a
-- pair (microseconds, parts). Every number below is an integer, so the arithmetic is exact.

local SECOND_US = 1000000
local DEBT_BURSTS = 1  -- as in token_bucket.py
local INSTANT_DIGITS = 16  -- of microseconds since the epoch, until the year 2286

local KEYS, ARGV, call, redis_pcall, tonumber = KEYS, ARGV, redis.call, redis.pcall, tonumber
local fmod, format, match = math.fmod, string.format, string.match

local given, buckets = tonumber(ARGV[1]), tonumber(ARGV[2])
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

-- Charge the quotas if `outcome` is 1 and all have enough tokens. Return the outcome, and unspent and reserved of each.
local function charge_quotas(outcome)
  -- The balance of a quota in the current period; nil if the stored value is of another period, malformed or missing.
  local function balance_in(key)
    local value = redis_pcall('GET', key)
    if type(value) == 'string' then
      local begins, ends, unspent, reserved = match(value, '^(%d+) (%d+) (%d+) (%d+)$')
      if begins and tonumber(begins) <= now and now < tonumber(ends) and tonumber(unspent) <= tonumber(reserved) then
        return { begins = begins, ends = ends, unspent = tonumber(unspent), reserved = tonumber(reserved) }
      end
    end
  end

  -- The balance with a new reservation added. A reservation whose period has ended meanwhile is dropped.
  local function with_reservation(balance, text)
    local begins, ends, tokens, reserved = match(text, '^(%d+) (%d+) (%d+) (%d+)$')
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

  local balances, tokens, quotas, counts = {}, tonumber(ARGV[7]), #KEYS - 1, {}
  for i = 1, quotas do
    local limit, reservation = tonumber(ARGV[7 + i]), ARGV[7 + quotas + i]
    local balance = balance_in(KEYS[1 + i])
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
  for i = 1, quotas do
    local balance = balances[i]
    if not balance then
      counts[2 * i - 1], counts[2 * i] = -1, 0
    else
      if outcome == 1 then
        balance.unspent = balance.unspent - tokens
      end
      if balance.is_new or (outcome == 1 and tokens > 0) then
        local value = format('%s %s %.0f %.0f', balance.begins, balance.ends, balance.unspent, balance.reserved)
        set(KEYS[1 + i], value, tonumber(balance.ends))
      end
      counts[2 * i - 1], counts[2 * i] = balance.unspent, balance.reserved
    end
  end
  return outcome, counts
end

local answer, counts = { now }, {}
for i = 1, buckets do
  local rate, burst, cost = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1])
  local empty_us, empty_part = plus(now, 0, burst * SECOND_US, rate)
  local deepest_us, deepest_part = plus(empty_us, empty_part, DEBT_BURSTS * burst * SECOND_US, rate)
  local us, part, is_clamped = stored(KEYS[i], rate, deepest_us, deepest_part)
  local end_us, end_part = plus(us, part, cost * SECOND_US, rate)
  local outcome = 1
  if ARGV[4 * i + 2] == '1' then
    if is_later(end_us, end_part, deepest_us, deepest_part) then
      end_us, end_part = deepest_us, deepest_part
    end
  elseif is_later(end_us, end_part, empty_us, empty_part) then
    outcome = 0
  end
  if #KEYS > buckets then
    outcome, counts = charge_quotas(outcome)
  end
  if outcome == 1 then
    us, part = end_us, end_part
  end
  if is_clamped or (outcome == 1 and cost > 0) then
    -- A full bucket needs no key, so the key expires when the bucket is full.
    set(KEYS[i], format('%.0f %.0f', us, part), us + 1)
  end
  answer[3 * i - 1], answer[3 * i], answer[3 * i + 1] = outcome, us, part
end
for _, count in ipairs(counts) do
  answer[#answer + 1] = count
end
return answer
