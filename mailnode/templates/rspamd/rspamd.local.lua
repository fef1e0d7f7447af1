-- Whoever has signed in writes under the address of that mailbox, or one with a +tag, and under that one alone. The
-- message is signed with the key that its domain has at that moment.
-- "sieve" is what Dovecot hands in on loopback (vacation, redirect): see master.cf.
local lpeg = require 'lpeg'
local rspamd_util = require 'rspamd_util'

local STRONGEST = 4 -- above everything that Rspamd itself gives to a result

-- Every @ of a header that stands in no quotes and no comment; nil where these are not closed. Mail programs disagree
-- on whom `a@x <b@y>` is from, so there must be one.
local pair = lpeg.P '\\' * 1
local quoted = '"' * (pair + (1 - lpeg.S '"\\')) ^ 0 * '"'
local comment = '(' * (pair + (1 - lpeg.S '()\\')) ^ 0 * ')'
local at_signs = lpeg.Ct((quoted + comment + lpeg.C '@' + (1 - lpeg.S '"()\\')) ^ 0) * -1

-- Reads the header itself: what task:get_from answers may have been rewritten by then (tags are taken off).
local function only_address(task)
  local headers = task:get_header_full('From') or {}
  if #headers ~= 1 then return nil end
  if #(at_signs:match(headers[1].value) or {}) ~= 1 then return nil end
  local found = rspamd_util.parse_mail_address(headers[1].value, task:get_mempool()) or {}
  if #found ~= 1 or not (found[1].flags or {}).valid then return nil end
  return found[1]
end

local function untagged(address)
  return (address:lower():gsub('^([^+@]*)%+[^@]*@', '%1@'))
end

-- dkim_signing takes the key and its selector from these variables.
local function choose_key(task, domain)
  for _, key in ipairs(rspamd_util.glob('{{ dir }}/dkim/' .. domain .. '/*.key')) do
    task:get_mempool():set_variable('dkim_selector', key:match('([^/]+)%.key$'))
    task:get_mempool():set_variable('dkim_key', key)
  end
end

rspamd_config:register_symbol{
  name = 'HEADER_FROM_NOT_OWNED',
  type = 'prefilter',
  priority = 10,
  -- Also where another filter has already decided. (A test pattern in the text skips every filter, where these are on.)
  flags = 'ignore_passthrough',
  callback = function(task)
    local user = task:get_user()
    if not user then return end
    if user == 'sieve' then
      -- A redirected message is somebody else's: not under our signature.
      if task:get_header('X-Sieve-Redirected-From') then
        task:disable_symbol('DKIM_SIGNED')
        return
      end
      user = ((task:get_from('smtp') or {})[1] or {}).addr or '' -- Dovecot gives the script's mailbox (dovecot.conf)
    end
    local from = only_address(task)
    if from and untagged(from.addr) == untagged(user) then
      choose_key(task, untagged(user):match('[^@]+$'))
      return
    end
    local text = 'The From header must be the one address that you signed in with'
    task:set_pre_result('reject', text, 'HEADER_FROM_NOT_OWNED', nil, STRONGEST)
  end,
}
