-- Stands in front of release, begin and settle, after the prelude: what holds deliveries back, whoever asks.
-- KEYS[9] is what all integrations with one credential share: the pause of their target and the state of the limits.
local shared = KEYS[9]

local hold =
  redis.call('HMGET', control, 'paused_ms', 'breaker', 'breaker_until_ms', 'probe', 'target', 'limits', 'clock_ms',
    'well_ms')
local paused, breaker, breaker_until, probe = hold[1], hold[2] or 'closed', to_number(hold[3], 0), hold[4] or ''
local asked = redis.call('HMGET', shared, 'pause_until_ms', 'pause_ms')
local target_until, target_pause = to_number(asked[1], 0), to_number(asked[2], math.huge)

-- What belongs to a credential that nobody uses any more goes by itself; no limit or pause outlives two days.
local function share(...)
  redis.call('HSET', shared, ...)
  redis.call('PEXPIRE', shared, 172800000)
end

-- A released delivery waits again as if it had never gone: at the head of its kind, without an attempt.
local function put_back(id, record)
  local failed = has_failed(record)
  local base = failed and FAILED or 0
  local head = redis.call('ZRANGE', waiting, base, base + now, 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
  to_waiting(id, math.min(now, math.max(0, (tonumber(head[2]) or base + now) - base)), failed)
  count('put_back', 1)
end
