-- Extends the leases that their token still holds. ARGV: now, lease in ms, then for each delivery: id, token
local until_ms = now + tonumber(ARGV[2])
for i = 3, #ARGV, 2 do
  if redis.call('HGET', leases, ARGV[i]) == ARGV[i + 1] then
    redis.call('ZADD', released, 'XX', until_ms, ARGV[i])
  end
end
