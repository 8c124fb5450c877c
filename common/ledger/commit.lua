-- Stores deliveries and moves the cursor past them, or changes nothing. This is why restarting a producer, or running
-- two for one node, neither loses nor duplicates an alert.
-- KEYS: 1-8 as in every script, 9 the cursors, which no other script may use, then what each silence kept back, then
-- those of groups if alerts are folded.
-- ARGV: now, node, expected cursor, new cursor, maximum number of deliveries, maximum bytes, 1 if this is a replay of
-- the log, what to count between the cursors, what to fold in JSON or '' (`Folds` in digest_types.py), then for each
-- delivery: id, alert, time until which it is held in ms or 0.
-- What to count is JSON: [{counter: number}, [[when it expires, {rule id: number}], for each silence in KEYS]].
-- Returns {'ok', stored, folded}, {'stale', cursor}, {'full', room for deliveries} or {'closed', number of the silence}.
local cursor = KEYS[9]
local node, expected, new_cursor = ARGV[2], ARGV[3], ARGV[4]
local held = redis.call('HGET', cursor, node) or ''
if held ~= expected then
  return {'stale', held}
end
local counters, silences = unpack(cjson.decode(ARGV[8]))
for n = 1, #silences do
  if redis.call('HEXISTS', KEYS[9 + n], 'closed') == 1 then -- its message would not include these alerts
    return {'closed', n}
  end
end
local more = ARGV[7] == '1' and ',"replays":1' or ''
local header = new_header(more)
if ARGV[9] ~= '' then
  fold_all(cjson.decode(ARGV[9]))
end
local offered, bytes, holds = 0, 0, false
for i = 10, #ARGV, 3 do
  if not folded_at[(i - 7) / 3] then
    offered, bytes = offered + 1, bytes + #header + #ARGV[i + 1]
    holds = holds or tonumber(ARGV[i + 2]) > now
  end
end
if holds then
  redis.call('HEXISTS', control, '') -- fails before the first write if the key is damaged
end
local room = tonumber(ARGV[5]) - redis.call('ZCARD', waiting) - redis.call('ZCARD', released)
local held_bytes = to_number(redis.call('HGET', totals, 'bytes'), 0)
-- An empty backlog accepts any single delivery, so that one larger than the limit cannot stall its integration.
local backlog_empty = room == tonumber(ARGV[5])
if backlog_empty and held_bytes ~= 0 then -- the counter was damaged: an empty backlog has no bytes
  redis.call('HSET', totals, 'bytes', 0)
  held_bytes = 0
end
local room_bytes = tonumber(ARGV[6]) - held_bytes
if offered > 0 and (offered > room or bytes > room_bytes) and not (offered == 1 and backlog_empty) then
  if bytes > room_bytes then
    room = math.min(room, math.floor(offered * math.max(room_bytes, 0) / bytes))
  end
  if backlog_empty then
    room = math.max(room, 1)
  end
  return {'full', math.max(room, 0)}
end
-- A full backlog also stops the folding, since each window adds deliveries.
if folded_alerts > 0 and (room <= 0 or room_bytes <= 0) then
  return {'full', 0}
end
local stored, stored_bytes, ends = 0, 0, {}
for i = 10, #ARGV, 3 do
  local due = tonumber(ARGV[i + 2])
  local is_held = due > now -- not if the window has ended meanwhile by this clock
  local record = (is_held and new_header(string.format('%s,"held_until_ms":%d', more, due)) or header) .. ARGV[i + 1]
  if not folded_at[(i - 7) / 3] and redis.call('HSETNX', records, ARGV[i], record) == 1 then
    redis.call('ZADD', waiting, is_held and due or now, ARGV[i])
    stored, stored_bytes = stored + 1, stored_bytes + #record
    if is_held then
      ends[due] = true
    end
  end
end
for due in pairs(ends) do
  remember_hold(due)
end
store_groups()
redis.call('HSET', cursor, node, new_cursor)
if stored > 0 then
  count('committed', stored)
  count('bytes', stored_bytes)
end
if offered > 0 and counters.read then -- a delivery of `courier test` is no alert that was read
  count('enqueued', stored)
  if offered > stored then
    count('already_queued', offered - stored)
  end
end
for field, number in pairs(counters) do
  count(field, number)
end
local MAX_RULES = 100 -- numbers by rule of one silence; what exceeds them is counted together
for n = 1, #silences do
  local key, expires, rules = KEYS[9 + n], unpack(silences[n])
  for rule, number in pairs(rules) do
    local field = 'rule:' .. rule
    if redis.call('HEXISTS', key, field) == 0 and redis.call('HLEN', key) >= MAX_RULES then
      field = 'other_rules'
    end
    add(key, field, number)
    add(key, 'number', number)
  end
  redis.call('HSETNX', key, 'first_ms', now)
  redis.call('HSET', key, 'last_ms', now)
  redis.call('PEXPIREAT', key, expires)
end
return {'ok', stored, folded_alerts}
