-- The tables that the writer fills. Insertion is at least once and exact all the same: every table is a
-- ReplacingMergeTree on a key that never changes. The deduplication window only saves work on retries.
-- Column names are the wire's (schemas/facts.py, schemas/decisions.py); kafka_* say where a row lies.
-- A fact's key ends in its time and transaction: should an edge ever use a receipt twice, neither event replaces
-- the other, and the view contradicting_receipts shows both.

-- A person followed a tracking link.
CREATE TABLE IF NOT EXISTS click_facts
(
    receipt_id String,
    transaction_id String,
    received_at DateTime64(3, 'UTC'),
    occurred_at DateTime64(3, 'UTC'),
    edge LowCardinality(String),
    catalog_version UInt32,
    offer_id UInt32,
    affiliate_id UInt32,
    advertiser_id UInt32,
    aff_sub String, aff_sub2 String, aff_sub3 String, aff_sub4 String, aff_sub5 String,
    aff_unique1 String, aff_unique2 String, aff_unique3 String, aff_unique4 String, aff_unique5 String,
    aff_click_id String,
    source String,
    url_id UInt32,
    creative_id String,
    host LowCardinality(String),
    redirect_url String,
    redirect_reason UInt16,
    country_code LowCardinality(String),
    region LowCardinality(String),
    city LowCardinality(String),
    asn UInt32,
    device_type LowCardinality(String),
    device_os LowCardinality(String),
    os_version LowCardinality(String),
    device_brand LowCardinality(String),
    browser LowCardinality(String),
    language LowCardinality(String),
    client_hints Map(LowCardinality(String), String),
    consent String,
    ip String,
    user_agent String,
    referer String,
    is_bot Bool,
    is_unique Bool,
    params Map(String, String),
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_log LowCardinality(String),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_transaction transaction_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_click_id aff_click_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(received_at)
PRIMARY KEY (toStartOfHour(received_at), offer_id, affiliate_id, receipt_id)
ORDER BY (toStartOfHour(received_at), offer_id, affiliate_id, receipt_id, received_at, transaction_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- A person was shown an ad.
CREATE TABLE IF NOT EXISTS impression_facts
(
    receipt_id String,
    transaction_id String,
    received_at DateTime64(3, 'UTC'),
    occurred_at DateTime64(3, 'UTC'),
    edge LowCardinality(String),
    catalog_version UInt32,
    offer_id UInt32,
    affiliate_id UInt32,
    advertiser_id UInt32,
    aff_sub String, aff_sub2 String, aff_sub3 String, aff_sub4 String, aff_sub5 String,
    aff_unique1 String, aff_unique2 String, aff_unique3 String, aff_unique4 String, aff_unique5 String,
    aff_click_id String,
    source String,
    url_id UInt32,
    creative_id String,
    host LowCardinality(String),
    redirect_url String,
    redirect_reason UInt16,
    country_code LowCardinality(String),
    region LowCardinality(String),
    city LowCardinality(String),
    asn UInt32,
    device_type LowCardinality(String),
    device_os LowCardinality(String),
    os_version LowCardinality(String),
    device_brand LowCardinality(String),
    browser LowCardinality(String),
    language LowCardinality(String),
    client_hints Map(LowCardinality(String), String),
    consent String,
    ip String,
    user_agent String,
    referer String,
    is_bot Bool,
    is_unique Bool,
    params Map(String, String),
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_log LowCardinality(String),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_transaction transaction_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_click_id aff_click_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(received_at)
PRIMARY KEY (toStartOfHour(received_at), offer_id, affiliate_id, receipt_id)
ORDER BY (toStartOfHour(received_at), offer_id, affiliate_id, receipt_id, received_at, transaction_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- A pixel, iframe, postback or adjustment as received.
CREATE TABLE IF NOT EXISTS observation_facts
(
    receipt_id String,
    transaction_id String,
    kind LowCardinality(String),
    proven_by LowCardinality(String),
    received_at DateTime64(3, 'UTC'),
    occurred_at DateTime64(3, 'UTC'),
    edge LowCardinality(String),
    catalog_version UInt32,
    offer_id UInt32,
    affiliate_id UInt32,
    advertiser_id UInt32,
    goal String,
    goal_id Int32,
    sale_amount Nullable(Decimal(18, 6)),
    sale_currency LowCardinality(String),
    status LowCardinality(String),
    conversion_unique_id String,
    adv_sub String, adv_sub2 String, adv_sub3 String, adv_sub4 String, adv_sub5 String,
    adv_unique1 String, adv_unique2 String, adv_unique3 String, adv_unique4 String, adv_unique5 String,
    promo_code String,
    user_id String,
    ip String,
    user_agent String,
    conversion_ip String,
    conversion_user_agent String,
    referer String,
    consent String,
    test Bool,
    problems Array(String),
    params Map(String, String),
    action LowCardinality(String),
    payout Nullable(Decimal(18, 6)),
    revenue Nullable(Decimal(18, 6)),
    stated_by String,
    why String,
    by_file Bool,
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_log LowCardinality(String),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_transaction transaction_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_order_number conversion_unique_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(received_at)
PRIMARY KEY (toStartOfHour(received_at), offer_id, affiliate_id, receipt_id)
ORDER BY (toStartOfHour(received_at), offer_id, affiliate_id, receipt_id, received_at, transaction_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- A case as it stands, whole: the newest version wins.
CREATE TABLE IF NOT EXISTS cases
(
    transaction_id String,
    goal_id Int32,
    version UInt64,
    decided_at DateTime64(3, 'UTC'),
    conversions Array(Tuple(
        conversion_id String,
        conversion_unique_id String,
        offer_id UInt32,
        affiliate_id UInt32,
        advertiser_id UInt32,
        status String,
        reason UInt16,
        reason_detail String,
        duplicate_of String,
        payout Decimal(18, 6),
        payout_currency String,
        revenue Decimal(18, 6),
        revenue_currency String,
        payout_nominal Decimal(18, 6),
        revenue_nominal Decimal(18, 6),
        payout_rule String,
        revenue_rule String,
        payout_rate Decimal(18, 6),
        revenue_rate Decimal(18, 6),
        sale_amount Decimal(18, 6),
        sale_currency String,
        credited_by String,
        click_receipt_id String,
        clicked_at Nullable(DateTime64(3, 'UTC')),
        occurred_at DateTime64(3, 'UTC'),
        received_at DateTime64(3, 'UTC'),
        observations UInt32,
        observed_by Array(String),
        receipts Array(String),
        aff_sub String,
        aff_sub2 String,
        aff_sub3 String,
        aff_sub4 String,
        aff_sub5 String,
        aff_click_id String,
        aff_unique1 String,
        aff_unique2 String,
        aff_unique3 String,
        aff_unique4 String,
        aff_unique5 String,
        source String,
        url_id UInt32,
        creative_id String,
        country_code String,
        device_type String,
        device_os String,
        is_bot Bool,
        promo_code String,
        adv_sub String,
        adv_sub2 String,
        adv_sub3 String,
        adv_sub4 String,
        adv_sub5 String,
        test Bool,
        flags Array(String),
        absorbs Array(String),
        catalog_version UInt32)),
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_log LowCardinality(String),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (transaction_id, goal_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- Every version of every case.
CREATE TABLE IF NOT EXISTS case_history
(
    transaction_id String,
    goal_id Int32,
    version UInt64,
    decided_at DateTime64(3, 'UTC'),
    conversions Array(Tuple(
        conversion_id String,
        conversion_unique_id String,
        offer_id UInt32,
        affiliate_id UInt32,
        advertiser_id UInt32,
        status String,
        reason UInt16,
        reason_detail String,
        duplicate_of String,
        payout Decimal(18, 6),
        payout_currency String,
        revenue Decimal(18, 6),
        revenue_currency String,
        payout_nominal Decimal(18, 6),
        revenue_nominal Decimal(18, 6),
        payout_rule String,
        revenue_rule String,
        payout_rate Decimal(18, 6),
        revenue_rate Decimal(18, 6),
        sale_amount Decimal(18, 6),
        sale_currency String,
        credited_by String,
        click_receipt_id String,
        clicked_at Nullable(DateTime64(3, 'UTC')),
        occurred_at DateTime64(3, 'UTC'),
        received_at DateTime64(3, 'UTC'),
        observations UInt32,
        observed_by Array(String),
        receipts Array(String),
        aff_sub String,
        aff_sub2 String,
        aff_sub3 String,
        aff_sub4 String,
        aff_sub5 String,
        aff_click_id String,
        aff_unique1 String,
        aff_unique2 String,
        aff_unique3 String,
        aff_unique4 String,
        aff_unique5 String,
        source String,
        url_id UInt32,
        creative_id String,
        country_code String,
        device_type String,
        device_os String,
        is_bot Bool,
        promo_code String,
        adv_sub String,
        adv_sub2 String,
        adv_sub3 String,
        adv_sub4 String,
        adv_sub5 String,
        test Bool,
        flags Array(String),
        absorbs Array(String),
        catalog_version UInt32)),
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_log LowCardinality(String),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (transaction_id, goal_id, version)
SETTINGS non_replicated_deduplication_window = 1000;

-- An attempt to tell a partner.
CREATE TABLE IF NOT EXISTS delivery_facts
(
    notice_id String,
    transaction_id String,
    conversion_id String,
    version UInt64,
    affiliate_id UInt32,
    offer_id UInt32,
    subscription String,
    url String,
    attempt UInt32,
    outcome LowCardinality(String),
    http_status UInt16,
    detail String,
    ended Bool,
    at DateTime64(3, 'UTC'),
    took_ms UInt32,
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_log LowCardinality(String),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (conversion_id, notice_id, attempt, at)
SETTINGS non_replicated_deduplication_window = 1000;

-- A record that could not be used; value is base64.
CREATE TABLE IF NOT EXISTS quarantine_facts
(
    identity String,
    receipt_id String,
    reader LowCardinality(String),
    reason UInt16,
    detail String,
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key String,
    value String,
    at DateTime64(3, 'UTC'),
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_log LowCardinality(String),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (reader, identity)
SETTINGS non_replicated_deduplication_window = 1000;

-- A request that was refused.
CREATE TABLE IF NOT EXISTS refusal_facts
(
    refusal_id String,
    at DateTime64(3, 'UTC'),
    edge LowCardinality(String),
    path LowCardinality(String),
    outcome LowCardinality(String),
    reason UInt16,
    detail String,
    query String,
    offer_id UInt32,
    affiliate_id UInt32,
    transaction_id String,
    ip String,
    user_agent String,
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_log LowCardinality(String),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (toStartOfHour(at), refusal_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- An edge's word on how far an epoch has come: the greatest number wins, then the latest word.
CREATE TABLE IF NOT EXISTS tail_facts
(
    edge LowCardinality(String),
    epoch String,
    last UInt64,
    at DateTime64(3, 'UTC'),
    version UInt128 MATERIALIZED bitOr(bitShiftLeft(toUInt128(last), 64), toUInt128(toUnixTimestamp64Milli(at))),
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_log LowCardinality(String),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY epoch
SETTINGS non_replicated_deduplication_window = 1000;
