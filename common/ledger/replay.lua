-- Moves dead letters back to waiting, with a new retry budget and their history.
-- ARGV: now, delay of the first in ms, interval between two in ms, id, ... Returns how many it moved. A dead letter
-- whose header cannot be read is left unchanged.
local first, interval, replayed = now + tonumber(ARGV[2]), tonumber(ARGV[3]), 0
check_types()
for i = 4, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HGET', records, id)
  local due = math.floor(first + replayed * interval)
  local rewritten = record and rewrite(record, function(header)
    header.attempts, header.lost, header.since_ms, header.held_until_ms = nil, nil, nil, nil
    header.replays, header.replayed_ms = (header.replays or 0) + 1, due
  end)
  if rewritten and redis.call('ZREM', dead, id) == 1 then
    redis.call('HSET', records, id, rewritten)
    count('dead_bytes', -#record)
    count('bytes', #rewritten)
    redis.call('ZADD', waiting, due, id)
    replayed = replayed + 1
  end
end
if replayed > 0 then
  count('replayed', replayed)
end
return replayed
