-- Dead letters wait again, with a fresh budget and their history. ARGV: now, interval in ms, id, ... Answers how many.
local interval, replayed = tonumber(ARGV[2]), 0
for i = 3, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HGET', records, id)
  if record and redis.call('ZREM', dead, id) == 1 then
    local line, alert = split(record)
    local header = cjson.decode(line)
    header.attempts, header.lost, header.since_ms = nil, nil, now
    header.replays = (header.replays or 0) + 1
    local rewritten = cjson.encode(header) .. alert
    redis.call('HSET', records, id, rewritten)
    count('dead_bytes', -#record)
    count('bytes', #rewritten)
    redis.call('ZADD', waiting, now + replayed * interval, id)
    replayed = replayed + 1
  end
end
if replayed > 0 then
  count('replayed', replayed)
end
return replayed
