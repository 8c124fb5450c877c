-- What waits becomes dead letters, for an operator who wants to decide about it. ARGV: now, reason, limit.
-- Answers how many; the caller comes back until there are none.
local reason, buried = ARGV[2], 0
for _, id in ipairs(redis.call('ZRANGE', waiting, 0, tonumber(ARGV[3]) - 1)) do
  local record = redis.call('HGET', records, id)
  redis.call('ZREM', waiting, id)
  if record then
    local line, alert = split(record)
    local header = cjson.decode(line)
    local history = header.history or {}
    history[#history + 1] = {now, reason, ''}
    header.history = history
    local rewritten = cjson.encode(header) .. alert
    store(id, record, rewritten)
    to_dead(id, rewritten, reason)
    buried = buried + 1
  end
end
return buried
