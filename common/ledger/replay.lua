-- Dead letters wait again, with a fresh budget and their history.
-- ARGV: now, pause before the first in ms, interval in ms, id, ... Answers how many.
local first, interval, replayed = now + tonumber(ARGV[2]), tonumber(ARGV[3]), 0
for i = 4, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HGET', records, id)
  if record and redis.call('ZREM', dead, id) == 1 then
    local line, alert = split(record)
    local header = cjson.decode(line)
    local turn = math.floor(first + replayed * interval)
    header.attempts, header.lost, header.since_ms = nil, nil, nil
    header.replays, header.replayed_ms = (header.replays or 0) + 1, turn
    local rewritten = cjson.encode(header) .. alert
    redis.call('HSET', records, id, rewritten)
    count('dead_bytes', -#record)
    count('bytes', #rewritten)
    redis.call('ZADD', waiting, turn, id)
    replayed = replayed + 1
  end
end
if replayed > 0 then
  count('replayed', replayed)
end
return replayed
