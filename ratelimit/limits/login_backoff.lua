-- Admits an attempt to log in and counts it as failed, or tells how long to wait. A login deletes the keys.
--
-- KEYS           at a known address: the backoff of this name at this address.
--                Otherwise: the backoff of the address, the backoff of the name, and the place of the address in the
--                queue of the name
-- ARGV[1]        "", or an instant in microseconds that replaces the server's clock. Then keys do not expire, because
--                expiry uses the server's clock
-- ARGV[2]        1, or 0: do not admit the attempt, only tell the wait
-- ARGV[3]        how many failures are followed by no wait
-- ARGV[4]        how far ahead of now a place may be, and how long it is kept; this and what follows in microseconds
-- ARGV[5 ..]     of each backoff: its longest wait, and the quiet time after which it is forgotten
--
-- Returns the wait in microseconds; 0 if the attempt is admitted, or would be with ARGV[2] = 1.
--
-- A backoff is "<failures> <until>": no attempt is admitted before the instant `until`. A place is the instant from
-- which on it admits one attempt.

local SECOND_US = 1000000

local given, is_counted, free, reach = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
local now = given
if not now then
  local time = redis.call('TIME')
  now = time[1] * SECOND_US + time[2]
end

local function read(key, pattern)
  local value = redis.pcall('GET', key)
  if type(value) == 'string' then
    local first, second = string.match(value, pattern)
    return tonumber(first), tonumber(second)
  end
end

local function set(key, value, until_us)
  if given then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil((until_us - now) / 1000)))
  end
end

-- A backoff that is missing, malformed, quiet for long, or later than possible (the clock was set back) has no failures.
local function backoff_of(i)
  local longest, forgotten = tonumber(ARGV[3 + 2 * i]), tonumber(ARGV[4 + 2 * i])
  local failures, till = read(KEYS[i], '^(%d+) (%d+)$')
  if not till or now >= till + forgotten or till > now + reach + longest then
    failures, till = 0, now
  end
  return { key = KEYS[i], failures = failures, till = till, longest = longest, forgotten = forgotten }
end

-- Count a failure at the instant `at`. The next attempt waits.
local function count(backoff, at)
  backoff.failures = backoff.failures + 1
  local wait = 0
  if backoff.failures > free then
    wait = math.min(backoff.longest, SECOND_US * 2 ^ (backoff.failures - free - 1))
  end
  backoff.till = at + wait
  set(backoff.key, string.format('%.0f %.0f', backoff.failures, backoff.till), backoff.till + backoff.forgotten)
end

local function wait_for(instant)
  return math.max(0, instant - now)
end

local first = backoff_of(1)
local wait = wait_for(first.till)
if #KEYS == 1 then
  if wait == 0 and is_counted then
    count(first, now)
  end
  return wait
end

local name = backoff_of(2)
local place = read(KEYS[3], '^(%d+)$')
if place and (now >= place + reach or place > now + reach) then
  place = nil
end
local name_wait = wait_for(name.till)
local is_placed = name_wait > 0 and place and place <= now
if is_placed then
  name_wait = 0
elseif name_wait > 0 and place then
  name_wait = wait_for(place)
elseif name_wait > reach then
  name_wait = name_wait - reach
elseif name_wait > 0 and wait == 0 and is_counted then
  -- A place counts as a failure when it is given, so that all places are as far apart as the attempts would be.
  set(KEYS[3], string.format('%.0f', name.till), name.till + reach)
  count(name, name.till)
end
wait = math.max(wait, name_wait)
if wait == 0 and is_counted then
  count(first, now)
  if not is_placed then
    count(name, now)
  end
  redis.call('DEL', KEYS[3])
end
return wait
