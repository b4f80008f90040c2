"""What stands in braces in a history's line: an ID, sound or spoiled, and moments as shops write them."""

import hashlib
import hmac
import re
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, quote, urlsplit

from schemas import crockford

HOLE = re.compile(r"\{([a-z](?::\w+)?|\d+/\d+|[-+]\d+[hd][^}]*)\}")
SHOP_KEY = "a secret of the shop, 32 bytes.."

_UNIT_S = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_PART = re.compile(r"([-+]?\d+)([dhms])")


def seconds(text: str) -> int:
    """`-2d+1h` in seconds."""
    return sum(int(number) * _UNIT_S[unit] for number, unit in _PART.findall(text))


def spoiled(transaction: str, way: str) -> str:
    """The ID as a person or a forger has it: `upper`, `cut`, `forged`; as it is where no way is named."""
    match way:
        case "forged":
            return crockford.text(crockford.number(transaction.encode()) ^ 1)
        case "upper":
            return transaction.upper().replace("0", "O").replace("1", "I")
        case "cut":
            return transaction[:-1]
    return transaction


def moment(start_s: int, hole: str) -> str:
    """`-2h unix`, `-2h+05:30`, `-2h+09:00 bare` (without its zone), ready for a query."""
    shift, ahead, minutes, way = re.findall(r"^([-+]\d+[dh])(?:([-+]\d\d):(\d\d))?(?: (\w+))?$", hole)[0]
    at_s = start_s + seconds(shift)
    if way == "unix":
        return str(at_s)
    zone = timezone(timedelta(hours=int(ahead), minutes=int(minutes)))
    local = datetime.fromtimestamp(at_s, zone)
    return quote((local.replace(tzinfo=None) if way == "bare" else local).isoformat())


def signature(how: str, path: str) -> str:
    """`sig` of the path's parameters by the published recipe; how: the key's name, and `:-400` where late."""
    key_id, _, shift = how.partition(":")
    signed_s = int(time.time()) + int(shift or 0)
    pairs = parse_qsl(urlsplit(path).query)
    lines = sorted(f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in pairs)
    text = f"{signed_s}\n{'&'.join(lines)}"
    return f"{key_id}.{signed_s}.{hmac.new(SHOP_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()}"
