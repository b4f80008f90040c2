-- What people query: exact at any moment, before and after merges, whatever was shipped again.

-- An accepted click.
CREATE OR REPLACE VIEW clicks AS
SELECT * FROM click_facts FINAL;

-- An accepted impression.
CREATE OR REPLACE VIEW impressions AS
SELECT * FROM impression_facts FINAL;

-- A pixel, iframe, postback or adjustment as received.
CREATE OR REPLACE VIEW observations AS
SELECT * FROM observation_facts FINAL;

-- An attempt to tell a partner.
CREATE OR REPLACE VIEW deliveries AS
SELECT * FROM delivery_facts FINAL;

-- An event that could not be used; `value` is what was received, base64.
CREATE OR REPLACE VIEW quarantine AS
SELECT * FROM quarantine_facts FINAL;

-- A request that was refused; `query` is what was received.
CREATE OR REPLACE VIEW refusals AS
SELECT * FROM refusal_facts FINAL;

-- How far each epoch of an edge's journal has come, by the edge's own word.
CREATE OR REPLACE VIEW tails AS
SELECT edge, epoch, last, at, kafka_topic, kafka_partition, kafka_offset, kafka_log, inserted_at
FROM tail_facts FINAL;

-- Receipts under which more than one event was stored: none, unless an edge numbered wrongly. Reads all facts.
CREATE OR REPLACE VIEW contradicting_receipts AS
SELECT
    receipt_id,
    count() AS events,
    groupArray(transaction_id) AS transactions,
    groupArray(fact_kind) AS kinds,
    min(fact_received_at) AS first_received_at,
    max(fact_received_at) AS last_received_at
FROM
(
    SELECT receipt_id, transaction_id, 'click' AS fact_kind, received_at AS fact_received_at FROM click_facts FINAL
    UNION ALL
    SELECT receipt_id, transaction_id, 'impression', received_at FROM impression_facts FINAL
    UNION ALL
    SELECT receipt_id, transaction_id, CAST(kind AS String), received_at FROM observation_facts FINAL
)
GROUP BY receipt_id
HAVING events > 1;

-- A conversion as it stands now.
CREATE OR REPLACE VIEW conversions AS
SELECT
    c.conversion_id AS conversion_id,
    version,
    transaction_id,
    goal_id,
    decided_at,
    c.conversion_unique_id AS conversion_unique_id,
    c.offer_id AS offer_id,
    c.affiliate_id AS affiliate_id,
    c.advertiser_id AS advertiser_id,
    c.status AS status,
    c.reason AS reason,
    c.reason_detail AS reason_detail,
    c.duplicate_of AS duplicate_of,
    c.payout AS payout,
    c.payout_currency AS payout_currency,
    c.revenue AS revenue,
    c.revenue_currency AS revenue_currency,
    c.payout_nominal AS payout_nominal,
    c.revenue_nominal AS revenue_nominal,
    c.payout_rule AS payout_rule,
    c.revenue_rule AS revenue_rule,
    c.payout_rate AS payout_rate,
    c.revenue_rate AS revenue_rate,
    c.sale_amount AS sale_amount,
    c.sale_currency AS sale_currency,
    c.credited_by AS credited_by,
    c.click_receipt_id AS click_receipt_id,
    c.clicked_at AS clicked_at,
    c.occurred_at AS occurred_at,
    c.received_at AS received_at,
    c.observations AS observations,
    c.observed_by AS observed_by,
    c.receipts AS receipts,
    c.aff_sub AS aff_sub,
    c.aff_sub2 AS aff_sub2,
    c.aff_sub3 AS aff_sub3,
    c.aff_sub4 AS aff_sub4,
    c.aff_sub5 AS aff_sub5,
    c.aff_click_id AS aff_click_id,
    c.aff_unique1 AS aff_unique1,
    c.aff_unique2 AS aff_unique2,
    c.aff_unique3 AS aff_unique3,
    c.aff_unique4 AS aff_unique4,
    c.aff_unique5 AS aff_unique5,
    c.source AS source,
    c.url_id AS url_id,
    c.creative_id AS creative_id,
    c.country_code AS country_code,
    c.device_type AS device_type,
    c.device_os AS device_os,
    c.is_bot AS is_bot,
    c.promo_code AS promo_code,
    c.adv_sub AS adv_sub,
    c.adv_sub2 AS adv_sub2,
    c.adv_sub3 AS adv_sub3,
    c.adv_sub4 AS adv_sub4,
    c.adv_sub5 AS adv_sub5,
    c.test AS test,
    c.flags AS flags,
    c.absorbs AS absorbs,
    c.catalog_version AS catalog_version,
    kafka_topic,
    kafka_partition,
    kafka_offset,
    kafka_log,
    inserted_at
FROM
(
    SELECT * EXCEPT (conversions), arrayJoin(conversions) AS c
    FROM cases FINAL
);

-- Every version of every conversion, with the time of its decision.
CREATE OR REPLACE VIEW conversion_history AS
SELECT
    c.conversion_id AS conversion_id,
    version,
    transaction_id,
    goal_id,
    decided_at,
    c.conversion_unique_id AS conversion_unique_id,
    c.offer_id AS offer_id,
    c.affiliate_id AS affiliate_id,
    c.advertiser_id AS advertiser_id,
    c.status AS status,
    c.reason AS reason,
    c.reason_detail AS reason_detail,
    c.duplicate_of AS duplicate_of,
    c.payout AS payout,
    c.payout_currency AS payout_currency,
    c.revenue AS revenue,
    c.revenue_currency AS revenue_currency,
    c.payout_nominal AS payout_nominal,
    c.revenue_nominal AS revenue_nominal,
    c.payout_rule AS payout_rule,
    c.revenue_rule AS revenue_rule,
    c.payout_rate AS payout_rate,
    c.revenue_rate AS revenue_rate,
    c.sale_amount AS sale_amount,
    c.sale_currency AS sale_currency,
    c.credited_by AS credited_by,
    c.click_receipt_id AS click_receipt_id,
    c.clicked_at AS clicked_at,
    c.occurred_at AS occurred_at,
    c.received_at AS received_at,
    c.observations AS observations,
    c.observed_by AS observed_by,
    c.receipts AS receipts,
    c.aff_sub AS aff_sub,
    c.aff_sub2 AS aff_sub2,
    c.aff_sub3 AS aff_sub3,
    c.aff_sub4 AS aff_sub4,
    c.aff_sub5 AS aff_sub5,
    c.aff_click_id AS aff_click_id,
    c.aff_unique1 AS aff_unique1,
    c.aff_unique2 AS aff_unique2,
    c.aff_unique3 AS aff_unique3,
    c.aff_unique4 AS aff_unique4,
    c.aff_unique5 AS aff_unique5,
    c.source AS source,
    c.url_id AS url_id,
    c.creative_id AS creative_id,
    c.country_code AS country_code,
    c.device_type AS device_type,
    c.device_os AS device_os,
    c.is_bot AS is_bot,
    c.promo_code AS promo_code,
    c.adv_sub AS adv_sub,
    c.adv_sub2 AS adv_sub2,
    c.adv_sub3 AS adv_sub3,
    c.adv_sub4 AS adv_sub4,
    c.adv_sub5 AS adv_sub5,
    c.test AS test,
    c.flags AS flags,
    c.absorbs AS absorbs,
    c.catalog_version AS catalog_version,
    kafka_topic,
    kafka_partition,
    kafka_offset,
    kafka_log,
    inserted_at
FROM
(
    SELECT * EXCEPT (conversions), arrayJoin(conversions) AS c
    FROM case_history FINAL
);

-- An hour of an offer, affiliate, advertiser, goal, country, device, source and currencies. Clicks by click time,
-- conversions by their occurred_at. conversions = approved + pending, without awaiting (reason 200), duplicates
-- (always rejected) and tests; clicks include bots; money is of approved conversions only.
CREATE OR REPLACE VIEW stats AS
SELECT
    hour, offer_id, affiliate_id, advertiser_id, goal_id, country_code, device_type, source, sale_currency, payout_currency, revenue_currency,
    sum(clicks) AS clicks, sum(unique_clicks) AS unique_clicks, sum(bot_clicks) AS bot_clicks,
    sum(impressions) AS impressions,
    sum(conversions) AS conversions, sum(approved) AS approved, sum(pending) AS pending, sum(rejected) AS rejected,
    sum(sale_amount) AS sale_amount, sum(payout) AS payout, sum(revenue) AS revenue
FROM
(
    SELECT
        CAST(toStartOfHour(received_at) AS DateTime64(3, 'UTC')) AS hour, offer_id, affiliate_id, advertiser_id, toInt32(0) AS goal_id,
        country_code, device_type, source, '' AS sale_currency, '' AS payout_currency, '' AS revenue_currency,
        count() AS clicks, countIf(is_unique) AS unique_clicks, countIf(is_bot) AS bot_clicks, toUInt64(0) AS impressions,
        toUInt64(0) AS conversions, toUInt64(0) AS approved, toUInt64(0) AS pending, toUInt64(0) AS rejected,
        toDecimal128(0, 6) AS sale_amount, toDecimal128(0, 6) AS payout, toDecimal128(0, 6) AS revenue
    FROM click_facts FINAL
    GROUP BY hour, offer_id, affiliate_id, advertiser_id, goal_id, country_code, device_type, source, sale_currency, payout_currency, revenue_currency
    UNION ALL
    SELECT
        CAST(toStartOfHour(received_at) AS DateTime64(3, 'UTC')) AS hour, offer_id, affiliate_id, advertiser_id, toInt32(0) AS goal_id,
        country_code, device_type, source, '' AS sale_currency, '' AS payout_currency, '' AS revenue_currency,
        toUInt64(0) AS clicks, toUInt64(0) AS unique_clicks, toUInt64(0) AS bot_clicks, count() AS impressions,
        toUInt64(0) AS conversions, toUInt64(0) AS approved, toUInt64(0) AS pending, toUInt64(0) AS rejected,
        toDecimal128(0, 6) AS sale_amount, toDecimal128(0, 6) AS payout, toDecimal128(0, 6) AS revenue
    FROM impression_facts FINAL
    GROUP BY hour, offer_id, affiliate_id, advertiser_id, goal_id, country_code, device_type, source, sale_currency, payout_currency, revenue_currency
    UNION ALL
    SELECT
        CAST(toStartOfHour(occurred_at) AS DateTime64(3, 'UTC')) AS hour, offer_id, affiliate_id, advertiser_id, goal_id,
        country_code, device_type, source, sale_currency, payout_currency, revenue_currency,
        toUInt64(0) AS clicks, toUInt64(0) AS unique_clicks, toUInt64(0) AS bot_clicks, toUInt64(0) AS impressions,
        countIf(status IN ('approved', 'pending') AND reason != 200) AS conversions,
        countIf(status = 'approved') AS approved,
        countIf(status = 'pending' AND reason != 200) AS pending,
        countIf(status = 'rejected') AS rejected,
        sumIf(toDecimal128(c.sale_amount, 6), status = 'approved') AS sale_amount,
        sumIf(toDecimal128(c.payout, 6), status = 'approved') AS payout,
        sumIf(toDecimal128(c.revenue, 6), status = 'approved') AS revenue
    FROM conversions AS c
    WHERE NOT test
    GROUP BY hour, offer_id, affiliate_id, advertiser_id, goal_id, country_code, device_type, source, sale_currency, payout_currency, revenue_currency
)
GROUP BY hour, offer_id, affiliate_id, advertiser_id, goal_id, country_code, device_type, source, sale_currency, payout_currency, revenue_currency;
