-- Takes tokens from a bucket, or none if it has too few.
--
-- KEYS[1]        the bucket, holding "<microseconds> <parts>": the instant at which it is full again
-- ARGV[1 .. 3]   its rate (tokens per second), burst (tokens), and the tokens to take
-- ARGV[4]        parts that are missing at least, for when the server may have lost the bucket
-- ARGV[5]        parts that are owed: they are taken first and in any case, as far as the bucket goes
-- ARGV[6]        optional: the time in microseconds instead of the server's; the key then does not expire,
--                because expiry goes by the server's clock
--
-- Answers { now, admitted (1 or 0), then microseconds and parts of the bucket afterwards }.
--
-- A part is 1/rate of a microsecond. An instant in parts alone does not fit a double's 53 bits, a pair does;
-- every number below is a whole one, so the arithmetic is exact.

local SECOND_US = 1000000

local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local missing, owed, given = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
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

local latest_us, latest_part = plus(now, 0, burst * SECOND_US)

local function is_beyond(us, part)
  return us > latest_us or (us == latest_us and part > latest_part)
end

-- A missing bucket is full. What is not a bucket's state (another type, other text) counts as missing.
local function stored()
  local value = redis.pcall('GET', KEYS[1])
  if type(value) == 'string' then
    local us, part = string.match(value, '^(%d+) (%d+)$')
    if us and tonumber(us) >= now then
      return tonumber(us), math.min(tonumber(part), rate - 1)  -- the rate may have been lowered since
    end
  end
  return now, 0
end

-- A full bucket needs no key, so a key lives until then.
local function store(us, part)
  local value = string.format('%.0f %.0f', us, part)
  if given then
    redis.call('SET', KEYS[1], value)
  else
    redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', math.ceil((us + 1 - now) / 1000)))
  end
end

local us, part = stored()
local known_us, known_part = plus(now, 0, missing)
if known_us > us or (known_us == us and known_part > part) then
  us, part = known_us, known_part
end
us, part = plus(us, part, owed)
if is_beyond(us, part) then
  us, part = latest_us, latest_part
end
local end_us, end_part = plus(us, part, cost * SECOND_US)
local admitted = not is_beyond(end_us, end_part)
if admitted then
  us, part = end_us, end_part
end
if admitted or owed > 0 or missing > 0 then
  store(us, part)
end
return { now, admitted and 1 or 0, us, part }
