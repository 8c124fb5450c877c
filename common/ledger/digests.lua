-- Included before every script that opens or closes groups of alerts: a group becomes one delivery, its digest.
--
-- The two keys are not in KEYS of most scripts, which otherwise would need them for integrations without a digest. They
-- have the same hash tag. `fold.lua` writes them; here they are read, and deleted when a group closes.
--
--   groups  sorted set  group → the end of its window in ms; 0 if the group must close now and for good
--   digest  hash        group → its state in JSON; GROUP:base → the alert that the digest looks like; GROUP:1, GROUP:2 …
--                       → samples; `alerts` → the number of alerts in all open groups
local groups_key = (string.gsub(records, 'records$', 'groups'))
local digest_key = (string.gsub(records, 'records$', 'digest'))
local MOST_TOP, MOST_SAMPLES = 10, 10 -- values of a field that a digest shows; samples of a group

-- Returns a time in ISO 8601 in UTC without its zone. The days are counted in years that begin in March, so that a leap
-- day is the last one (Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
local function time_text(ms)
  local days, in_day = math.floor(ms / 86400000) + 719468, ms % 86400000
  local era = math.floor(days / 146097)
  local day_of_era = days - era * 146097
  local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460) + math.floor(day_of_era / 36524)
    - math.floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
  local month_from_march = math.floor((5 * day_of_year + 2) / 153)
  local day = day_of_year - math.floor((153 * month_from_march + 2) / 5) + 1
  local month = month_from_march < 10 and month_from_march + 3 or month_from_march - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03d', year, month, day, math.floor(in_day / 3600000),
    math.floor(in_day / 60000) % 60, math.floor(in_day / 1000) % 60, math.floor(in_day % 1000))
end

local WHOLE_NUMBERS = {'from', 'to', 'first', 'min', 'every', 'allowed', 'given', 'number', 'samples'}

local function whole_number(value)
  local number = type(value) == 'number' and to_number(value) -- JSON of another program may have NaN and 1e999
  return number and number >= 0 and number % 1 == 0 and number or nil
end

local function two_texts(pair)
  return type(pair) == 'table' and type(pair[1]) == 'string' and type(pair[2]) == 'string' and {pair[1], pair[2]} or nil
end

local function counter(found)
  if type(found) ~= 'table' or type(found.field) ~= 'string' or type(found.numbers) ~= 'table' then
    return nil
  end
  local numbers = {}
  for value, number in pairs(found.numbers) do
    numbers[value] = type(value) == 'string' and whole_number(number) or nil
  end
  return {field = found.field, numbers = numbers, approximate = found.approximate == true}
end

-- Returns the state of a group with its score in `groups`, or nil if there is none that a script can have written. It
-- has nothing else: `cjson` fails to encode some of what it decodes, and that would be after the first write.
local function group_state(group, score)
  local found, state = parsed(redis.call('HGET', digest_key, group) or ''), {tops = {}}
  for _, field in ipairs(WHOLE_NUMBERS) do
    state[field] = whole_number(found[field])
    if not state[field] then
      return nil
    end
  end
  if type(found.values) ~= 'string' or type(found.tops) ~= 'table' then
    return nil
  end
  for i, top in ipairs(found.tops) do
    state.tops[i] = counter(top)
    if not state.tops[i] then
      return nil
    end
  end
  state.values, state.others, state.level = found.values, found.others == true, whole_number(found.level)
  state.oldest, state.newest = two_texts(found.oldest), two_texts(found.newest)
  if score and score > 0 and score < state.to then -- the clock was set back, and with it the score alone
    state.from, state.to = math.max(state.from - (state.to - score), 0), score
  end
  return (state.number == 0 or (state.oldest and state.newest)) and state or nil
end

-- Returns the JSON of the values of a field that were counted most: {"values": [[value, number], ...], ...}.
local function top_text(top)
  local counted = {}
  for value, number in pairs(top.numbers) do
    counted[#counted + 1] = {value, number}
  end
  table.sort(counted, function(a, b)
    return a[2] > b[2] or (a[2] == b[2] and a[1] < b[1])
  end)
  local texts = {}
  for i = 1, math.min(#counted, MOST_TOP) do
    texts[i] = string.format('[%s,%d]', cjson.encode(counted[i][1]), counted[i][2])
  end
  return string.format('%s:{"values":[%s],"approximate":%s}', cjson.encode(top.field), table.concat(texts, ','),
    tostring(top.approximate))
end

-- Returns the alert that a digest is. `base` has pieces of the newest alert of the highest level, in JSON: the inside of
-- the text of its description, the other members of its rule, and its other members; both begin with a comma.
local function digest_alert(id, state, base, samples, ends)
  local number, tops = string.format('%d', state.number), {}
  for i, top in ipairs(state.tops) do
    tops[i] = top_text(top)
  end
  local description = base.description ~= '' and number .. ' more: ' .. base.description or number .. ' more alerts'
  local oldest, newest = state.oldest, state.newest
  return table.concat({
    '{"timestamp":"', time_text(ends), '+0000","id":', cjson.encode(newest[2]),
    ',"rule":{"description":"', description, '"', base.rule, '}', base.rest,
    ',"courier":{"digest":{"id":', cjson.encode(id), ',"group":', state.values,
    ',"others":', tostring(state.others), ',"count":', number,
    ',"from":', cjson.encode(oldest[1]), ',"to":', cjson.encode(newest[1]),
    ',"first_id":', cjson.encode(oldest[2]), ',"last_id":', cjson.encode(newest[2]),
    ',"level":', string.format('%d', state.level or 0),
    ',"window":{"from":"', time_text(state.from), 'Z","to":"', time_text(ends), 'Z"}',
    ',"top":{', table.concat(tops, ','), '},"samples":[', table.concat(samples, ','), ']}}}',
  })
end

-- Deletes what a closed window had, but for the state of its group.
local function forget_alerts(group, number)
  local fields = {group .. ':base'}
  for i = 1, MOST_SAMPLES do
    fields[#fields + 1] = group .. ':' .. i
  end
  redis.call('HDEL', digest_key, unpack(fields))
  add(digest_key, 'alerts', -number)
end

local function forget_group(group)
  redis.call('ZREM', groups_key, group)
  redis.call('HDEL', digest_key, group)
  if redis.call('ZCARD', groups_key) == 0 then -- whatever another program has left
    redis.call('DEL', digest_key)
  end
end

local function add_digest(group, state, ends)
  local base, samples = parsed(redis.call('HGET', digest_key, group .. ':base') or ''), {}
  for i = 1, math.min(state.samples, MOST_SAMPLES) do
    samples[#samples + 1] = redis.call('HGET', digest_key, group .. ':' .. i) or nil
  end
  for _, piece in ipairs({'description', 'rule', 'rest'}) do
    base[piece] = type(base[piece]) == 'string' and base[piece] or ''
  end
  -- A server that forgot this step can close the window again, with other alerts. The checksum makes that another
  -- delivery: a worker that has sent the first one and says so late would otherwise settle the second one, unsent.
  local checksum = redis.sha1hex(digest_alert('', state, base, samples, ends))
  local id = string.format('digest:%s:%d:%s', group, state.from, string.sub(checksum, 1, 8))
  while redis.call('HEXISTS', records, id) == 1 do -- only if the clock was set back
    id = id .. '+'
  end
  local record = new_header() .. digest_alert(id, state, base, samples, ends)
  redis.call('HSET', records, id, record)
  redis.call('ZADD', waiting, now, id)
  count('committed', 1)
  count('bytes', #record)
  count('digests', 1)
  count('digested', state.number)
end

-- Ends the window of a group, whose end is `score`. With `whole`, also fewer alerts than `min` become a digest.
-- The group stays for the next window unless this one was quiet, that is, had at most `first` alerts: then the first
-- alerts of the next window are delivered one by one again.
local function close_group(group, score, whole)
  local state = group_state(group, score)
  if not state then -- another program wrote it: its alerts are lost, and the numbers show it
    forget_alerts(group, 0)
    forget_group(group)
    return
  end
  local is_early = whole or score == 0
  local ends = math.max(state.from, math.min(is_early and now or state.to, now))
  if state.number > 0 and (whole or state.number >= state.min) then
    add_digest(group, state, ends)
  elseif state.number > 0 then
    count('below_min', state.number)
  end
  forget_alerts(group, state.number)
  if is_early or state.every == 0 or state.first == 0 or state.given + state.number <= state.first then
    forget_group(group)
    return
  end
  state.from = math.max(state.to, now - state.every)
  state.to = state.from + state.every
  state.allowed, state.given, state.number, state.samples, state.tops = 0, 0, 0, 0, {}
  state.oldest, state.newest, state.level = nil, nil, nil
  redis.call('HSET', digest_key, group, cjson.encode(state))
  redis.call('ZADD', groups_key, state.to, group)
end

-- Closes up to `limit` groups with an end up to `until_ms`, those that end first first. Returns how many.
local function close_groups(until_ms, limit, whole)
  local ended = redis.pcall('ZRANGE', groups_key, '-inf', until_ms, 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES')
  if ended.err or #ended == 0 then -- a Redis user of an older version may not use the key
    return 0
  end
  check_types()
  redis.call('HEXISTS', digest_key, '')
  for i = 1, #ended, 2 do
    close_group(ended[i], tonumber(ended[i + 1]), whole)
  end
  return #ended / 2
end

-- Returns the groups that do not close anyway; none to a Redis user of an older version, which may not use the key.
local function open_groups()
  local found = redis.pcall('ZRANGE', groups_key, 1, '+inf', 'BYSCORE')
  return found.err and {} or found
end

-- Moves the ends of all windows back by as much as the clock was.
local function move_groups_back(step)
  local found = redis.pcall('ZRANGE', groups_key, 1, '+inf', 'BYSCORE', 'WITHSCORES')
  for i = 1, found.err and 0 or #found, 2 do
    redis.call('ZADD', groups_key, math.max(1, found[i + 1] - step), found[i])
  end
end
