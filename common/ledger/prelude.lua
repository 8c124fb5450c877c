-- Included before every script: the keys of one integration, the clock and the shared functions.
local records, waiting, released, dead, control, totals, leases, spent = unpack(KEYS, 1, 8)

-- ARGV[1] is the time in ms since the epoch, or '' to use the clock of Redis, which all machines share.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A value that is not a number in range counts as absent, so that a foreign value does not stop the script.
local function to_number(value, default)
  local found = tonumber(value or nil)
  return found and math.abs(found) < 1e15 and found or default -- excludes infinity, and NaN, which compares as false
end

-- Ends the script with WRONGTYPE if a key has the wrong type. A script that moves deliveries calls this before its
-- first write, because Redis does not roll back: either all deliveries move or none. The type of `records` is not
-- checked here: each script reads a record before it moves it. Costs 6 us.
local function check_types()
  redis.call('ZCARD', waiting)
  redis.call('ZCARD', released)
  redis.call('ZCARD', dead)
  redis.call('HEXISTS', totals, '')
  redis.call('HEXISTS', leases, '')
  redis.call('HEXISTS', spent, '')
end

-- Adds to a counter. A counter that is not a number, or that would overflow, restarts at zero.
local function add(key, field, by)
  local found = redis.pcall('HINCRBY', key, field, by)
  if type(found) == 'table' then
    redis.call('HSET', key, field, math.max(by, 0))
  end
end

local function count(field, by)
  add(totals, field, by)
end

-- A record is its header (one line of JSON) followed by the unchanged bytes of the alert.
local function new_header(more)
  return string.format('{"committed_ms":%d%s}\n', now, more or '')
end

-- Returns the header, and the rest including the line end. Without a line end the whole record is the rest, so that no
-- byte is lost.
local function split(record)
  local line_end = string.find(record, '\n', 1, true)
  if not line_end then
    return '', '\n' .. record
  end
  return string.sub(record, 1, line_end - 1), string.sub(record, line_end)
end

-- Returns the record after `change` modified its header, or nil if the header cannot be parsed.
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

-- Adds a delivery to another integration, whose keys records, waiting and totals are KEYS[first] to KEYS[first + 2].
-- Returns false if that integration already has the id.
local function add_delivery(first, id, record)
  if redis.call('HSETNX', KEYS[first], id, record) == 0 then
    return false
  end
  redis.call('ZADD', KEYS[first + 1], now, id)
  add(KEYS[first + 2], 'committed', 1)
  add(KEYS[first + 2], 'bytes', #record)
  return true
end

-- Whether `add_delivery` can write to these keys. A damaged integration must not stop another one.
local function can_add_delivery(first)
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

-- The score of a delivery that has failed is its due time plus FAILED. So a release finds the newest or oldest delivery
-- that has or has not failed by score, without reading records. 10^13 ms is in the year 2286, and the sum has 14
-- digits, which both a double and the text form of a Lua number hold exactly.
local FAILED = 1e13

-- Whether an attempt failed at the target since the retry budget began. An attempt whose worker died does not count: it
-- says nothing about the target.
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

-- The key of the history is not in KEYS and is used by `pcall` only, because the history is not worth a delivery: if the
-- key has the wrong type, or the Redis user may not use it (a redis.acl of an older version), the entry is lost and the
-- script goes on. `history_max` in `control` is kept by the workers' retention.
local history_key, history_max = (string.gsub(records, 'records$', 'history')), nil

-- Adds an entry to the integration's history. `facts` is the JSON text of `Facts` in history.py.
local function history(id, outcome, reason, facts)
  history_max = history_max or math.min(to_number(redis.pcall('HGET', control, 'history_max'), 10000), 1e6)
  if history_max > 0 then
    redis.pcall('XADD', history_key, 'MAXLEN', '~', history_max, '*',
      'id', id, 'outcome', outcome, 'reason', reason, 'facts', facts)
  end
end

-- Returns a text of an alert, at most `most` bytes of it.
local function text(value, most)
  return type(value) == 'string' and string.sub(value, 1, most) or ''
end

local function parsed(json)
  local readable, value = pcall(cjson.decode, json)
  return readable and type(value) == 'table' and value or {}
end

-- Adds an entry for a delivery that ends without a worker, with what its record says. It does not parse large alerts,
-- because Redis would do nothing else meanwhile.
local function history_of(id, record, outcome, reason)
  local line, alert = split(record)
  pcall(function()
    local header, fields = parsed(line), #alert <= 65536 and parsed(alert) or {}
    local rule = type(fields.rule) == 'table' and fields.rule or {}
    local agent = type(fields.agent) == 'table' and fields.agent or {}
    local failed = type(header.history) == 'table' and type(header.history[1]) == 'table' and header.history[1] or {}
    local function number(value, most)
      return math.floor(math.min(math.max(type(value) == 'number' and to_number(value, 0) or 0, 0), most))
    end
    history(id, outcome, reason, cjson.encode({
      text(fields.id, 64), text(rule.id, 32), type(rule.level) == 'number' and number(rule.level, 1000) or cjson.null,
      text(rule.description, 100), text(agent.id, 32), text(agent.name, 64),
      number(header.committed_ms, 1e13), number(failed[1], 1e13), number(header.attempts, 1e9), '', cjson.null,
    }))
  end)
end

-- `facts` are those of the worker whose attempt failed, '' if no history is kept; nil if no worker ends it.
local function to_dead(id, record, reason, facts)
  redis.call('ZADD', dead, now, id)
  no_longer_released(id)
  count('bytes', -#record)
  count('dead_bytes', #record)
  count('dead', 1)
  count('dead:' .. reason, 1)
  if not facts then
    history_of(id, record, 'dead', reason)
  elseif facts ~= '' then
    history(id, 'dead', reason, facts)
  end
end

local function remove(id, record)
  local was_dead = redis.call('ZREM', dead, id) == 1
  no_longer_released(id)
  redis.call('ZREM', waiting, id)
  redis.call('HDEL', records, id)
  count(was_dead and 'dead_bytes' or 'bytes', -#record)
end
