-- Included before release, begin and settle, after `blocked`: counts, spends and refunds the tokens of the rate limits.
-- KEYS[10] and KEYS[11] list the releases of the last 60 seconds and 60 minutes, the oldest first, as 'time number':
-- one entry for each ms in which deliveries were released. A list has no more entries than its limit. With a limit
-- above 1000 one entry covers a thousandth of the window and counts from its end, so that the window never exceeds the
-- limit.
local WINDOWS = {min = {list = KEYS[10], ms = 60000}, h = {list = KEYS[11], ms = 3600000}}
local DAY = 86400000

local function entry_at(list, index)
  local entry = redis.call('LINDEX', list, index)
  if entry then
    local at, number = string.match(entry, '^(%d+) (%d+)$')
    if not at then -- Courier did not write this: the window starts empty
      redis.call('LTRIM', list, 1, 0)
    end
    return to_number(at), to_number(number)
  end
end

local function entry(at, number)
  return string.format('%d %d', at, number)
end

local function used_in_window(unit)
  local list, ms = WINDOWS[unit].list, WINDOWS[unit].ms
  local stored = to_number(redis.call('HGET', shared, unit), 0)
  local newest = entry_at(list, -1)
  if newest and newest > now then -- the clock was set back: count all of it as released now
    redis.call('LTRIM', list, 1, 0)
    redis.call('RPUSH', list, entry(now, stored))
  end
  local used, at, number = stored, entry_at(list, 0)
  while at and at <= now - ms do
    redis.call('LPOP', list)
    used = used - number
    at, number = entry_at(list, 0)
  end
  used = at and math.max(used, 0) or 0
  if used ~= stored then
    set_shared(unit, used)
  end
  return used
end

local function spend_in_window(unit, number, limit)
  local list, ms = WINDOWS[unit].list, WINDOWS[unit].ms
  local used, grain = used_in_window(unit), limit > 1000 and ms / 1000 or 1
  local at, before = entry_at(list, -1)
  if at and math.floor(at / grain) == math.floor(now / grain) then
    redis.call('LSET', list, -1, entry(now, before + number))
  else
    redis.call('RPUSH', list, entry(now, number))
  end
  redis.call('PEXPIRE', list, 172800000)
  set_shared(unit, used + number)
end

-- Returns the tokens used today, and the day in which they count. If the clock is set back over midnight, the day that
-- had begun remains the current one.
local function used_today()
  local stored, today = redis.call('HMGET', shared, 'day', 'day_used'), math.floor(now / DAY)
  local day = to_number(stored[1], -1)
  if day == today or day == today + 1 then
    return to_number(stored[2], 0), day
  end
  return 0, today
end

local function tokens(rate, burst)
  local stored = redis.call('HGET', shared, 's:' .. rate .. ':' .. burst)
  local left, at = string.match(stored or '', '(%S+) (%d+)')
  left, at = to_number(left), to_number(at)
  if not left or not at then
    return burst
  end
  if at > now then -- the clock was set back: the bucket refills from now on
    at = now
    set_shared('s:' .. rate .. ':' .. burst, string.format('%.17g %d', left, now))
  end
  return math.min(burst, left + (now - at) * rate / 1000)
end

local function allowed(unit, number, burst)
  if unit == 's' then
    return math.floor(tokens(number, burst) + 1e-6)
  elseif unit == 'day' then
    return number - (used_today())
  end
  return number - used_in_window(unit)
end

local function spend(unit, number, burst, count)
  if unit == 's' then
    local left = string.format('%.17g %d', tokens(number, burst) - count, now)
    set_shared('s:' .. number .. ':' .. burst, left)
  elseif unit == 'day' then
    local used, day = used_today()
    set_shared('day', day, 'day_used', used + count)
  else
    spend_in_window(unit, count, number)
  end
end

-- Refunds tokens that were spent but not used; `receipt` is 'time unit unit ...'. A window gets its oldest token back,
-- the one that it would regain first anyway. A bucket gets nothing back, because it refills within seconds.
local function refund(receipt)
  local at = to_number(string.match(receipt, '%d+'), 0)
  for unit in string.gmatch(receipt, '%a+') do
    if unit == 'day' then
      local used, day = used_today()
      if math.floor(at / DAY) == day and used > 0 then
        add(shared, 'day_used', -1)
      end
    elseif WINDOWS[unit] and at > now - WINDOWS[unit].ms and used_in_window(unit) > 0 then
      local list = WINDOWS[unit].list
      local first, number = entry_at(list, 0)
      if number and number > 1 then
        redis.call('LSET', list, 0, entry(first, number - 1))
      else
        redis.call('LPOP', list)
      end
      add(shared, unit, -1)
    end
  end
end

local function refund_of(id)
  local receipt = redis.call('HGET', spent, id)
  if receipt then
    refund(receipt)
  end
end
