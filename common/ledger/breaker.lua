-- Stands in front of settle, after the holds: what the outcomes of an integration say about the health of its target.
--
--   closed     enough failures in a row, or too large a part of the latest ones   → open
--   open       until its time is over; release then lets one delivery out         → half-open
--   half-open  the probe fails → open again, for twice as long; it got an answer  → closed
--
-- While it is closed a delivery counts with its first failure only: a few that the target can't take must not open it
-- with each retry. While it is not closed only the probe counts: what was sent before says nothing new. The part that
-- failed is counted in the running window and the one before it, so it covers one to two windows and takes two pairs of
-- numbers. What was refused, perhaps for its own sake, counts in a row alone: beside successes it is no sickness.
local FIELDS =
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
  local next_to_it = age >= 0 and age < 2 * window
  health.sampled_before = next_to_it and health.sampled or 0
  health.sick_before = next_to_it and health.sick or 0
  health.sampled, health.sick = 0, 0
  health.window_ms = next_to_it and health.window_ms + window or now
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

local function sample(verdict, rules)
  roll(rules.window)
  health.failures = verdict == 'well' and 0 or health.failures + 1
  if verdict ~= 'refused' then
    health.sampled, health.sick = health.sampled + 1, health.sick + (verdict == 'sick' and 1 or 0)
  end
  if verdict == 'well' then
    return false
  end
  local sampled = health.sampled + health.sampled_before
  local part = 100 * (health.sick + health.sick_before) / math.max(sampled, 1)
  local in_a_row = rules.failures > 0 and health.failures >= rules.failures
  return in_a_row or (verdict == 'sick' and rules.ratio > 0 and sampled >= rules.samples and part >= rules.ratio)
end

-- One outcome: the verdict is 'well', 'sick', 'refused' (not this one; perhaps none), 'answered' (neither, but the
-- target lives) or '' (it was not asked); `record` is as it was before.
local function judge(id, verdict, reason, rules, record)
  local failed = verdict == 'sick' or verdict == 'refused'
  if verdict == 'well' then
    health.well_ms = now
  end
  if breaker == 'closed' then
    if verdict == 'well' or (failed and not has_failed(record)) then
      if sample(verdict, rules) then
        open(rules, reason)
      end
    end
  elseif breaker == 'half-open' and id == probe then
    if failed then
      open(rules, reason)
    elseif verdict ~= '' then
      close()
    end
  end
end

local function remember_health()
  local fields = {'breaker', breaker, 'breaker_until_ms', breaker_until}
  for _, field in ipairs(FIELDS) do
    fields[#fields + 1] = field
    fields[#fields + 1] = health[field]
  end
  redis.call('HSET', control, unpack(fields))
end
