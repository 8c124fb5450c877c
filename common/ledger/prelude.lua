-- Stands in front of every script: the keys of one integration, the clock, and the few moves they share.
local records, waiting, released, dead, control, totals, leases, spent = unpack(KEYS, 1, 8)

-- The first argument is the time in milliseconds, or '' for Redis's own clock, the one that all machines share.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A value that no script of ours writes counts as absent: it must not stop the script that reads it.
local function to_number(value, default)
  local found = tonumber(value or nil)
  return found and math.abs(found) < 1e15 and found or default -- neither infinite nor NaN, which compares as false
end

-- Ends the script with WRONGTYPE where a key has another type than ours: called before the first write of a script that
-- moves deliveries, so that it moves all or nothing. A record is read before it moves anyway. Costs 6 us.
local function check_types()
  redis.call('ZCARD', waiting)
  redis.call('ZCARD', released)
  redis.call('ZCARD', dead)
  redis.call('HEXISTS', totals, '')
  redis.call('HEXISTS', leases, '')
  redis.call('HEXISTS', spent, '')
end

-- Adds to a counter. One that holds no number, or the largest there is, starts again at zero.
local function add(key, field, by)
  local found = redis.pcall('HINCRBY', key, field, by)
  if type(found) == 'table' then
    redis.call('HSET', key, field, math.max(by, 0))
  end
end

local function count(field, by)
  add(totals, field, by)
end

-- A record is one line of JSON, its header, then the alert's own bytes.
local function new_header(more)
  return string.format('{"committed_ms":%d%s}\n', now, more or '')
end

-- Returns the header and, from the line end on, the rest. Without a line end all of it is the rest: no byte is lost.
local function split(record)
  local line_end = string.find(record, '\n', 1, true)
  if not line_end then
    return '', '\n' .. record
  end
  return string.sub(record, 1, line_end - 1), string.sub(record, line_end)
end

-- Returns the record with its header changed by `change`, or nil if the header cannot be read.
local function rewrite(record, change)
  local line, alert = split(record)
  local readable, rewritten = pcall(function()
    local header = cjson.decode(line)
    change(header)
    return cjson.encode(header)
  end)
  return readable and rewritten .. alert or nil
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
  add(KEYS[first + 2], 'committed', 1)
  add(KEYS[first + 2], 'bytes', #record)
  return true
end

-- Whether `enter` can write there: a damaged integration must not stop another one.
local function can_enter(first)
  local readable = pcall(function()
    redis.call('HEXISTS', KEYS[first], '')
    redis.call('ZCARD', KEYS[first + 1])
    redis.call('HEXISTS', KEYS[first + 2], '')
  end)
  return readable
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
  local readable, failed = pcall(function()
    local header = cjson.decode((split(record)))
    return (header.attempts or 0) > (header.lost or 0)
  end)
  return readable and failed
end

local function to_waiting(id, due, failed)
  redis.call('ZADD', waiting, failed and due + FAILED or due, id)
  no_longer_released(id)
end

local function to_dead(id, record, reason)
  redis.call('ZADD', dead, now, id)
  no_longer_released(id)
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
