-- Ends the windows of open groups now and for good; the next release closes them.
-- ARGV: now, the beginning of the names of the groups that go on, or '' if none does. Returns how many it ended.
local ended = 0
for _, group in ipairs(open_groups()) do
  local goes_on = ARGV[2] ~= '' and string.sub(group, 1, #ARGV[2]) == ARGV[2]
  if not goes_on then
    ended = ended + redis.call('ZADD', groups_key, 'XX', 'CH', 0, group)
  end
end
return ended
