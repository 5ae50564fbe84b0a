-- Admits an attempt to log in and counts it as failed, or tells how long to wait. A login deletes the keys.
--
-- KEYS           at a known address: the backoff of this name at this address.
--                Otherwise: the backoff of the address, and the backoff of the name
-- ARGV[1]        "", or an instant in microseconds that replaces the server's clock. Then keys do not expire, because
--                expiry uses the server's clock
-- ARGV[2]        1, or 0: do not admit the attempt, only tell the wait
-- ARGV[3]        how many failures are followed by no wait
-- ARGV[4]        how much longer an address waits for a name, for each of its failures; this and what follows in
--                microseconds
-- ARGV[5 ..]     of each backoff: its longest wait, and the quiet time after which it is forgotten
--
-- Returns the wait in microseconds; 0 if the attempt is admitted, or would be with ARGV[2] = 1.
--
-- A backoff is "<failures> <until>": no attempt is admitted before the instant `until`.

local SECOND_US = 1000000

local given, is_counted, free, yield = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
local now = given
if not now then
  local time = redis.call('TIME')
  now = time[1] * SECOND_US + time[2]
end

local function wait_after(failures, longest)
  return failures > free and math.min(longest, SECOND_US * 2 ^ (failures - free - 1)) or 0
end

-- A backoff that is missing, malformed, quiet for long, or later than possible (the clock was set back) has no failures.
local function backoff_of(i)
  local longest, forgotten = tonumber(ARGV[3 + 2 * i]), tonumber(ARGV[4 + 2 * i])
  local value, failures, till = redis.pcall('GET', KEYS[i]), nil, nil
  if type(value) == 'string' then
    failures, till = string.match(value, '^(%d+) (%d+)$')
    failures, till = tonumber(failures), tonumber(till)
  end
  if not till or now >= till + forgotten or till > now + longest then
    failures, till = 0, now
  end
  return { key = KEYS[i], failures = failures, till = till, longest = longest, forgotten = forgotten }
end

-- Count a failure. The next attempt waits.
local function count(backoff)
  local failures = backoff.failures + 1
  local wait = wait_after(failures, backoff.longest)
  local value = string.format('%.0f %.0f', failures, now + wait)
  if given then
    redis.call('SET', backoff.key, value)
  else
    local kept_ms = math.ceil((wait + backoff.forgotten) / 1000)
    redis.call('SET', backoff.key, value, 'PX', string.format('%.0f', kept_ms))
  end
end

local first, name = backoff_of(1), KEYS[2] and backoff_of(2)
local wait = math.max(0, first.till - now)
if name then
  local till = name.till
  -- Others have failed with the name, too: whoever has failed less goes first.
  if name.failures > first.failures then
    till = till + math.min(yield * first.failures, wait_after(name.failures, name.longest))
  end
  wait = math.max(wait, till - now)
end
if wait == 0 and is_counted then
  count(first)
  if name then
    count(name)
  end
end
return wait
