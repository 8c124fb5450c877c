-- Deliveries and the cursor that they move, or nothing: this is what makes a restarted or doubled producer harmless.
-- ARGV: now, node, cursor as the producer read it, new cursor, most deliveries, most bytes, 1 if this is a replay of the
-- log, then id, alert, ...
-- KEYS: 1-8 as everywhere, 9 the cursors, which no other script may touch.
-- Answers {'ok', stored}, {'stale', cursor} or {'full', room for deliveries}.
local cursor = KEYS[9]
local node, expected, new_cursor = ARGV[2], ARGV[3], ARGV[4]
local held = redis.call('HGET', cursor, node) or ''
if held ~= expected then
  return {'stale', held}
end
local header = new_header(ARGV[7] == '1' and ',"replays":1' or '')
local wanted, bytes = (#ARGV - 7) / 2, 0
for i = 9, #ARGV, 2 do
  bytes = bytes + #header + #ARGV[i]
end
local room = tonumber(ARGV[5]) - redis.call('ZCARD', waiting) - redis.call('ZCARD', released)
local held_bytes = to_number(redis.call('HGET', totals, 'bytes'), 0)
-- An empty ledger takes any single delivery, so that one larger than the limit cannot stall its integration.
local backlog_empty = room == tonumber(ARGV[5])
if backlog_empty and held_bytes ~= 0 then -- what a counter that was damaged has missed
  redis.call('HSET', totals, 'bytes', 0)
  held_bytes = 0
end
local room_bytes = tonumber(ARGV[6]) - held_bytes
if wanted > 0 and (wanted > room or bytes > room_bytes) and not (wanted == 1 and backlog_empty) then
  if bytes > room_bytes then
    room = math.min(room, math.floor(wanted * math.max(room_bytes, 0) / bytes))
  end
  if backlog_empty then
    room = math.max(room, 1)
  end
  return {'full', math.max(room, 0)}
end
local stored, stored_bytes = 0, 0
for i = 8, #ARGV, 2 do
  if redis.call('HSETNX', records, ARGV[i], header .. ARGV[i + 1]) == 1 then
    redis.call('ZADD', waiting, now, ARGV[i])
    stored, stored_bytes = stored + 1, stored_bytes + #header + #ARGV[i + 1]
  end
end
redis.call('HSET', cursor, node, new_cursor)
if stored > 0 then
  count('committed', stored)
  count('bytes', stored_bytes)
end
return {'ok', stored}
