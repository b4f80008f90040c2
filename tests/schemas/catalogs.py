"""A catalog to start a test from: change the one thing that the test is about."""

CONTRACT = """
[network]
time_zone = "Europe/Berlin"
default_url = "https://network.example/"
rates = [{ from = "EUR", to = "USD", rate = "1.10", since = "2026-11-01" }]

[[advertisers]]
id = 1
name = "Shoe Shop"
ref = "SH-1"
time_zone = "Europe/Berlin"
postback = { keys = [{ id = "k1", secret = "env:SHOP_KEY" }], token = "…", allow_from = ["203.0.113.0/24"] }
status_words = { ok = "approved", cancelled = "rejected" }

[[affiliates]]
id = 42
name = "Running Blog"
status = "active"
tier = "gold"
postbacks = [{ url = "https://tracker.example/cb?cid={aff_click_id}&sum={payout}", on = ["approved"] }]

[[offers]]
id = 7
advertiser_id = 1
name = "Shoes"
status = "active"
url = "https://shop.example/landing?tid={transaction_id}&s={aff_sub}"
landing_pages = [{ id = 3, url = "https://shop.example/sale?tid={transaction_id}" }]
hosts = ["shop.example"]
fallback_url = "https://shop.example/"
affiliates = "all"
identifier = "random"
tracking = ["postback", "iframe", "pixel"]
proof = "token"
click_window = "30d"
view_window = "24h"
min_time = "0s"

[[offers.goals]]
id = 0
name = "sale"
aliases = ["purchase"]
payout = { percent = "8" }
revenue = { percent = "10" }
currency = "USD"
terms = [
    { affiliate = 43, payout = { percent = "9" } },
    { tier = "gold", country = ["DE", "AT"], payout = { percent = "10" } },
]
repeat = "once"
approval = "auto"
confirm = "any"

[[links]]
path = "/ABC123/2CTPL"
offer_id = 7
affiliate_id = 42
"""

# Nothing to complain about.
GOOD = CONTRACT.replace('"…"', '"a token of more than sixteen"').replace("affiliate = 43", "affiliate = 42")
