-- Included before settle, after `blocked` and `limits`: the circuit breaker, which judges the target's health by the
-- outcomes of the integration's deliveries.
--
--   closed     enough consecutive failures, or too high a failure ratio                    → open
--   open       its pause ends, and `release` sends one delivery, the probe                 → half-open
--   half-open  the probe fails → open, for twice as long; the probe gets another response  → closed
--
-- While the breaker is closed, only the first failure of a delivery counts: retries of a few deliveries that the target
-- cannot accept must not open it. While it is open or half-open, only the probe counts: deliveries sent earlier say
-- nothing about the present. The failure ratio covers the current window and the previous one, so one to two windows,
-- and needs two pairs of counters. A refusal counts towards consecutive failures only, because it may concern the
-- single delivery: among successes it does not mean that the target is unhealthy.
local FIELDS = -- the names under which `control` stores them
  {'failures', 'opens', 'window_ms', 'sampled', 'sick', 'sampled_before', 'sick_before', 'well_ms'}
local health, transition = {}, ''
for i, value in ipairs(redis.call('HMGET', control, unpack(FIELDS))) do
  health[FIELDS[i]] = to_number(value, 0)
end

local function forget_samples()
  for _, field in ipairs(FIELDS) do
    if field ~= 'opens' and field ~= 'well_ms' then
      health[field] = 0
    end
  end
end

local function roll(window)
  local age = now - health.window_ms
  if age >= 0 and age < window then
    return
  end
  local is_next_window = age >= 0 and age < 2 * window
  health.sampled_before = is_next_window and health.sampled or 0
  health.sick_before = is_next_window and health.sick or 0
  health.sampled, health.sick = 0, 0
  health.window_ms = is_next_window and health.window_ms + window or now
end

local function open(rules, reason)
  breaker, transition = 'open', 'open'
  redis.call('HSET', control, 'breaker_reason', reason)
  breaker_until = now + math.min(rules.longest_pause, rules.pause * 2 ^ math.min(health.opens, 30))
  health.opens = health.opens + 1
  forget_samples()
  count('breaker_opened', 1)
end

local function close()
  breaker, transition, health.opens = 'closed', 'closed', 0
  forget_samples()
  count('breaker_closed', 1)
end

local function sample(signal, rules)
  roll(rules.window)
  health.failures = signal == 'success' and 0 or health.failures + 1
  if signal ~= 'refusal' then
    health.sampled, health.sick = health.sampled + 1, health.sick + (signal == 'failure' and 1 or 0)
  end
  if signal == 'success' then
    return false
  end
  local sampled = health.sampled + health.sampled_before
  local failed_percent = 100 * (health.sick + health.sick_before) / math.max(sampled, 1)
  local consecutive = rules.failures > 0 and health.failures >= rules.failures
  local over_ratio = rules.ratio > 0 and sampled >= rules.samples and failed_percent >= rules.ratio
  return consecutive or (signal == 'failure' and over_ratio)
end

-- Judges one outcome. `signal` is 'success', 'failure' (of the target), 'refusal' (this delivery, perhaps all),
-- 'neutral' (neither, but the target responds) or '' (the outcome says nothing). `record` is the record before this
-- attempt.
local function judge(id, signal, reason, rules, record)
  local failed = signal == 'failure' or signal == 'refusal'
  if signal == 'success' then
    health.well_ms = now
  end
  if breaker == 'closed' then
    if signal == 'success' or (failed and not has_failed(record)) then
      if sample(signal, rules) then
        open(rules, reason)
      end
    end
  elseif breaker == 'half-open' and id == probe then
    if failed then
      open(rules, reason)
    elseif signal ~= '' then
      close()
    end
  end
end

local function store_health()
  local fields = {'breaker', breaker, 'breaker_until_ms', breaker_until}
  for _, field in ipairs(FIELDS) do
    fields[#fields + 1] = field
    fields[#fields + 1] = health[field]
  end
  redis.call('HSET', control, unpack(fields))
end
