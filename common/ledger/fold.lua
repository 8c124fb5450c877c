-- Included before commit, after digests: folds alerts into groups, from which `digests.lua` makes deliveries.
--
-- The producer sums up each batch: a part is what several alerts of one group have in common. The first alerts of a
-- group in a batch are parts of one alert each, and each is also among the deliveries. Only the ledger knows how many
-- alerts of the group's window were delivered one by one before, perhaps by other producers. So it decides for each of
-- these parts: it is delivered or it is folded, never both.
local MOST_GROUPS, MOST_VALUES = 10000, 32 -- groups of an integration; values of a field that are counted

local open, opened, folded_alerts, folded_at = {}, {}, 0, {}

-- Returns the group with its state in memory; a new one if it is not open. If there are too many, it is `others`.
local function open_group(wanted, others)
  local name = wanted.group
  if open[name] then
    return open[name]
  end
  local score = tonumber(redis.call('ZSCORE', groups_key, name) or nil)
  local state, closes = group_state(name, score), score == 0
  if not state and not wanted.others and redis.call('ZCARD', groups_key) + #opened >= MOST_GROUPS then
    open[name] = open_group(others, others)
    return open[name]
  end
  local ends = now + wanted.every
  for i = #wanted.ends, 1, -1 do
    ends = wanted.ends[i] > now and wanted.ends[i] or ends
  end
  if not state then
    state = {
      from = now, to = ends, first = wanted.first, min = wanted.min, every = wanted.every,
      allowed = wanted.first, given = 0, number = 0, samples = 0, tops = {}, values = wanted.values, others = wanted.others,
    }
    opened[#opened + 1] = name
  elseif state.number == 0 and #wanted.ends > 0 and not closes then -- the day of a clock change is longer or shorter
    state.to = ends
  end
  open[name] = {name = name, state = state, closes = closes, most_samples = wanted.samples, fields = {}}
  return open[name]
end

-- Adds to the number of a value. If all counters are used, the smallest one continues with the new value: its number is
-- then too high by at most what it had (Metwally et al., "space-saving").
local function count_value(top, value, number)
  local numbers = top.numbers
  if numbers[value] then
    numbers[value] = numbers[value] + number
    return
  end
  local size, smallest = 0, nil
  for other, seen in pairs(numbers) do
    size = size + 1
    if not smallest or seen < numbers[smallest] or (seen == numbers[smallest] and other < smallest) then
      smallest = other
    end
  end
  if size < MOST_VALUES then
    numbers[value] = number
  else
    numbers[value], numbers[smallest], top.approximate = numbers[smallest] + number, nil, true
  end
end

local function fold(group, part)
  local state = group.state
  state.number, folded_alerts = state.number + part.number, folded_alerts + part.number
  state.oldest, state.newest = state.oldest or part.oldest, part.newest
  if part.level >= (state.level or 0) then
    state.level, group.fields[':base'] = part.level, part.base
  end
  for _, sample in ipairs(part.samples) do
    if state.samples < group.most_samples then
      state.samples = state.samples + 1
      group.fields[':' .. state.samples] = sample
    end
  end
  for i, top in ipairs(part.tops) do
    local counted = state.tops[i] or {field = top.field, numbers = {}, approximate = false}
    state.tops[i] = counted
    for _, pair in ipairs(top.values) do
      count_value(counted, pair[1], pair[2])
    end
    counted.approximate = counted.approximate or top.approximate
  end
end

-- Decides about all parts, and changes only the memory. `folded_at` then has the deliveries that are folded.
local function fold_all(folds)
  redis.call('ZCARD', groups_key) -- both fail before the first write if the key is damaged
  redis.call('HEXISTS', digest_key, '')
  for _, part in ipairs(folds.parts) do
    local wanted = folds.groups[part.group]
    local group = open_group(wanted, folds.others[wanted.every > 0 and 1 or 2])
    local state = group.state
    if part.delivery > 0 and state.given < state.allowed then
      state.given = state.given + 1
    else
      folded_at[part.delivery] = true
      fold(group, part)
    end
    group.is_changed = true
  end
end

local function store_groups()
  for name, group in pairs(open) do
    if name == group.name and group.is_changed then -- a name of `others` is there under its own, too
      redis.call('HSET', digest_key, name, cjson.encode(group.state))
      for suffix, text in pairs(group.fields) do
        redis.call('HSET', digest_key, name .. suffix, text)
      end
      redis.call('ZADD', groups_key, group.closes and 0 or group.state.to, name) -- 0 stays 0
    end
  end
  if folded_alerts > 0 then
    add(digest_key, 'alerts', folded_alerts)
    count('folded', folded_alerts)
  end
end
