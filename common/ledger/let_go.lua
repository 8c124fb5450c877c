-- Ends the hold of deliveries for an operator: they are due now. Groups of held alerts close with the next release.
-- ARGV: now, limit. Returns how many it changed; the caller repeats the call until it returns 0.
local limit, changed = tonumber(ARGV[2]), 0
check_types()
for _, group in ipairs(open_groups()) do
  if string.find(group, ':held', 1, true) then
    changed = changed + redis.call('ZADD', groups_key, 'XX', 'CH', 0, group)
  end
end
if changed >= limit then
  return changed
end
for _, due in ipairs(hold_ends()) do
  for _, id in ipairs(redis.call('ZRANGE', waiting, due, due, 'BYSCORE', 'LIMIT', 0, limit - changed)) do
    local record = redis.call('HGET', records, id)
    local rewritten = record and rewrite(record, function(header)
      header.held_until_ms = now
    end)
    if rewritten then -- otherwise `begin` finds that it is unreadable
      store(id, record, rewritten)
    end
    redis.call('ZADD', waiting, now, id)
    changed = changed + 1
  end
  if changed >= limit then
    break
  end
end
return changed
