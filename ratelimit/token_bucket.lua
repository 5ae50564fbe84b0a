-- Takes tokens from all buckets of a request, or from none.
--
-- KEYS[i]                 bucket i, holding "<microseconds> <parts>": the instant at which it is full again
-- ARGV[3i-2 .. 3i]        its rate (tokens per second), burst (tokens), and the tokens to take
-- ARGV[3 * #KEYS + 1]     optional: the time in microseconds instead of the server's; keys then do not expire,
--                         because expiry goes by the server's clock
--
-- Answers { now, admitted (1 or 0), then microseconds and parts of every bucket afterwards }.
--
-- A part is 1/rate of a microsecond. An instant in parts alone does not fit a double's 53 bits, a pair does;
-- every number below is a whole one, so the arithmetic is exact.

local SECOND = 1000000

local function split(parts, rate)
  local rest = math.fmod(parts, rate)
  return (parts - rest) / rate, rest
end

local function plus(us, part, span, rate)
  local span_us, span_part = split(span, rate)
  us, part = us + span_us, part + span_part
  if part >= rate then
    return us + 1, part - rate
  end
  return us, part
end

local function is_after(us, part, other_us, other_part)
  return us > other_us or (us == other_us and part > other_part)
end

-- A missing bucket is full. What is not a bucket's state (another type, other text) counts as missing.
local function stored(key, now)
  local value = redis.pcall('GET', key)
  if type(value) == 'string' then
    local us, part = string.match(value, '^(%d+) (%d+)$')
    if us then
      return tonumber(us), tonumber(part)
    end
  end
  return now, 0
end

local given = tonumber(ARGV[3 * #KEYS + 1])
local now = given
if not now then
  local time = redis.call('TIME')
  now = time[1] * SECOND + time[2]
end

-- A full bucket needs no key, so a key lives until then.
local function store(key, us, part)
  local value = string.format('%.0f %.0f', us, part)
  if given then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil((us + 1 - now) / 1000)))
  end
end

local admitted = true
local before, after = {}, {}
for i, key in ipairs(KEYS) do
  local rate, burst, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local latest_us, latest_part = plus(now, 0, burst * SECOND, rate)
  local us, part = stored(key, now)
  part = math.min(part, rate - 1)  -- the rate may have been lowered since
  if us < now then
    us, part = now, 0
  elseif is_after(us, part, latest_us, latest_part) then
    us, part = latest_us, latest_part
  end
  before[i] = { us, part }
  us, part = plus(us, part, cost * SECOND, rate)
  after[i] = { us, part }
  admitted = admitted and not is_after(us, part, latest_us, latest_part)
end

local answer = { now, admitted and 1 or 0 }
for i, key in ipairs(KEYS) do
  local state = admitted and after[i] or before[i]
  if admitted then
    store(key, state[1], state[2])
  end
  answer[2 * i + 1], answer[2 * i + 2] = state[1], state[2]
end
return answer
