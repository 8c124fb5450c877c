-- Stands in front of every script: the keys of one integration, the clock, and the few moves they share.
local records, waiting, released, dead, control, totals, leases, spent = unpack(KEYS, 1, 8)

-- The first argument is the time in milliseconds, or '' for Redis's own clock, the one that all machines share.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function count(field, by)
  redis.call('HINCRBY', totals, field, by)
end

-- A record is one line of JSON, its header, then the alert's own bytes.
local function new_header(more)
  return string.format('{"committed_ms":%d%s}\n', now, more or '')
end

local function split(record)
  local line_end = string.find(record, '\n', 1, true)
  return string.sub(record, 1, line_end - 1), string.sub(record, line_end)
end

local function store(id, old, new)
  redis.call('HSET', records, id, new)
  count('bytes', #new - #old)
end

-- A new delivery of another integration, whose records, waiting and totals are three KEYS from `first` on.
local function enter(first, id, record)
  if redis.call('HSETNX', KEYS[first], id, record) == 0 then
    return false
  end
  redis.call('ZADD', KEYS[first + 1], now, id)
  redis.call('HINCRBY', KEYS[first + 2], 'committed', 1)
  redis.call('HINCRBY', KEYS[first + 2], 'bytes', #record)
  return true
end

local function no_longer_released(id)
  redis.call('ZREM', released, id)
  redis.call('HDEL', leases, id)
  redis.call('HDEL', spent, id)
end

-- A delivery that failed waits with FAILED added to its due time, so that its score alone tells it from one that did
-- not: a release finds the newest or oldest of either kind without a record. 10^13 ms is in the year 2286, and the sum
-- has 14 digits, which a double and a Lua number's text hold exactly.
local FAILED = 1e13

-- Whether a target has refused it since its retry budget began; an attempt whose worker died says nothing of a target.
local function has_failed(record)
  local header = cjson.decode((split(record)))
  return (header.attempts or 0) > (header.lost or 0)
end

local function to_waiting(id, due, failed)
  no_longer_released(id)
  redis.call('ZADD', waiting, failed and due + FAILED or due, id)
end

local function to_dead(id, record, reason)
  no_longer_released(id)
  redis.call('ZADD', dead, now, id)
  count('bytes', -#record)
  count('dead_bytes', #record)
  count('dead', 1)
  count('dead:' .. reason, 1)
end

local function remove(id, record)
  local was_dead = redis.call('ZREM', dead, id) == 1
  no_longer_released(id)
  redis.call('ZREM', waiting, id)
  redis.call('HDEL', records, id)
  count(was_dead and 'dead_bytes' or 'bytes', -#record)
end
