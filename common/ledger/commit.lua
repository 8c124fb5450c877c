-- Stores deliveries and moves the cursor past them, or changes nothing. This is why restarting a producer, or running
-- two for one node, neither loses nor duplicates an alert.
-- KEYS: 1-8 as in every script, 9 the cursors, which no other script may use.
-- ARGV: now, node, expected cursor, new cursor, maximum number of deliveries, maximum bytes, 1 if this is a replay of
-- the log, alerts up to the new cursor that conditions excepted, then for each delivery: id, alert, time until which it
-- is held in ms or 0.
-- Returns {'ok', stored}, {'stale', cursor} or {'full', room for deliveries}.
local cursor = KEYS[9]
local node, expected, new_cursor = ARGV[2], ARGV[3], ARGV[4]
local held = redis.call('HGET', cursor, node) or ''
if held ~= expected then
  return {'stale', held}
end
local more = ARGV[7] == '1' and ',"replays":1' or ''
local header = new_header(more)
local offered, bytes, holds = (#ARGV - 8) / 3, 0, false
for i = 10, #ARGV, 3 do
  bytes = bytes + #header + #ARGV[i]
  holds = holds or tonumber(ARGV[i + 1]) > now
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
local stored, stored_bytes, ends = 0, 0, {}
for i = 9, #ARGV, 3 do
  local due = tonumber(ARGV[i + 2])
  local is_held = due > now -- not if the window has ended meanwhile by this clock
  local record = (is_held and new_header(string.format('%s,"held_until_ms":%d', more, due)) or header) .. ARGV[i + 1]
  if redis.call('HSETNX', records, ARGV[i], record) == 1 then
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
redis.call('HSET', cursor, node, new_cursor)
if stored > 0 then
  count('committed', stored)
  count('bytes', stored_bytes)
end
if tonumber(ARGV[8]) > 0 then
  count('excepted', ARGV[8])
end
return {'ok', stored}
