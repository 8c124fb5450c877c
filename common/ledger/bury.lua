-- What waits becomes dead letters, for an operator who wants to decide about it. ARGV: now, reason, limit.
-- Answers how many; the caller comes back until there are none.
local reason, buried = ARGV[2], 0
check_types()
for _, id in ipairs(redis.call('ZRANGE', waiting, 0, tonumber(ARGV[3]) - 1)) do
  local record = redis.call('HGET', records, id)
  if record then
    local rewritten = rewrite(record, function(header)
      local history = header.history or {}
      history[#history + 1] = {now, reason, ''}
      header.history = history
    end)
    if rewritten then
      store(id, record, rewritten)
    end
    to_dead(id, rewritten or record, rewritten and reason or 'unreadable')
    buried = buried + 1
  end
  redis.call('ZREM', waiting, id)
end
return buried
