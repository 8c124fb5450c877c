-- Stands in front of settle, after the holds: what the outcomes of an integration say about the health of its target.
--
--   closed     enough failures in a row, or too large a part of the latest ones   → open
--   open       until its time is over; release then lets one delivery out         → half-open
--   half-open  the probe fails → open again, for twice as long; it got an answer  → closed
--
-- While it is not closed only the probe counts: what was sent before says nothing new. The part that failed is counted
-- in the running window and the one before it, so it covers one to two windows and takes two pairs of numbers.
local FIELDS = {'failures', 'opens', 'window_ms', 'sampled', 'sick', 'sampled_before', 'sick_before'}
local health, transition = {}, ''
for i, value in ipairs(redis.call('HMGET', control, unpack(FIELDS))) do
  health[FIELDS[i]] = tonumber(value or 0)
end

local function forget_samples()
  for _, field in ipairs(FIELDS) do
    if field ~= 'opens' then
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

local function open(rules)
  breaker, transition = 'open', 'open'
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
  local sick = verdict == 'sick' and 1 or 0
  health.failures = sick == 1 and health.failures + 1 or 0
  health.sampled, health.sick = health.sampled + 1, health.sick + sick
  local sampled = health.sampled + health.sampled_before
  local part = 100 * (health.sick + health.sick_before) / sampled
  local in_a_row = rules.failures > 0 and health.failures >= rules.failures
  if sick == 1 and (in_a_row or (rules.ratio > 0 and sampled >= rules.samples and part >= rules.ratio)) then
    open(rules)
  end
end

-- One outcome: the verdict is 'well', 'sick', 'answered' (neither, but the target lives) or '' (it was not asked).
local function judge(id, verdict, rules)
  if breaker == 'closed' then
    if verdict == 'sick' or verdict == 'well' then
      sample(verdict, rules)
    end
  elseif breaker == 'half-open' and id == probe then
    if verdict == 'sick' then
      open(rules)
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
