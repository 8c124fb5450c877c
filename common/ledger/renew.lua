-- A living worker extends the leases of what it holds. ARGV: now, token, lease in ms, id, ...
local token, until_ms = ARGV[2], now + tonumber(ARGV[3])
for i = 4, #ARGV do
  if redis.call('HGET', leases, ARGV[i]) == token then
    redis.call('ZADD', released, 'XX', until_ms, ARGV[i])
  end
end
