-- Included before release, begin and settle, after the prelude: reads what blocks the integration.
-- KEYS[9] is shared by all integrations with one credential: the pause of their target and the state of the limits.
local shared = KEYS[9]

local state =
  redis.call('HMGET', control, 'paused_ms', 'breaker', 'breaker_until_ms', 'probe', 'target', 'limits', 'clock_ms',
    'well_ms', 'clock_shift', 'paused_until_ms')
-- The operator's pause ends by itself if it has an end; the next `pause` or `resume` removes its fields.
local paused_until = to_number(state[10], 0)
local paused = state[1] and (paused_until <= 0 or now < paused_until)
local breaker, breaker_until, probe = state[2] or 'closed', to_number(state[3], 0), state[4] or ''
local target_state = redis.call('HMGET', shared, 'pause_until_ms', 'pause_ms')
local target_until, target_pause = to_number(target_state[1], 0), to_number(target_state[2], math.huge)

-- Writes to the shared key, which expires two days after its last change: by then no limit or pause needs it.
local function set_shared(...)
  redis.call('HSET', shared, ...)
  redis.call('PEXPIRE', shared, 172800000)
end

-- Returns a released delivery to waiting, without counting an attempt. It goes to the head of the deliveries that have
-- failed, or of those that have not.
local function put_back(id, record)
  local failed = has_failed(record)
  local base = failed and FAILED or 0
  local head = redis.call('ZRANGE', waiting, base, base + now, 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
  to_waiting(id, math.min(now, math.max(0, (tonumber(head[2]) or base + now) - base)), failed)
  count('put_back', 1)
end
