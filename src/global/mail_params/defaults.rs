//! `defaults`: the defaults of parameters that this program does not use.
//!
//! A Postfix daemon looks up more parameters at start-up than it uses, and `$name`
//! in a value finds the default of each that was looked up before:
//! `connection_cache_ttl_limit = $ipc_idle` is valid in every program. This is the
//! table of such defaults. The values of these parameters are not checked.
//!
//! Parameters with an empty default are left out, as an unknown name is empty, too.
//! `mynetworks` is left out because its default depends on the interfaces of the host.
//! The defaults are those of Debian's Postfix 3.5 to 3.11, and of 3.12. Some other
//! distributions have other defaults of `default_database_type`,
//! `default_cache_db_type`, `alias_database` and `inet_protocols`.

use super::super::mail_version::MailVersion;

/// The default of a parameter.
#[derive(Clone, Copy, Debug)]
pub struct ParamDefault {
    /// The name of the parameter.
    pub name: &'static str,
    /// The default, not expanded.
    pub default: &'static str,
    since: MailVersion,
    before: MailVersion,
}

/// The defaults of the parameters that this version of Postfix looks up just before
/// parameter `name`.
pub fn preceding(name: &str, version: MailVersion) -> impl Iterator<Item = ParamDefault> + '_ {
    PRECEDING
        .iter()
        .filter(move |(next, _)| *next == name)
        .flat_map(|(_, defaults)| *defaults)
        .filter(move |default| default.since <= version && version < default.before)
        .copied()
}

/// Parameters that this program uses, in the order in which they are looked up. Each
/// has the defaults of the parameters that are looked up just before it.
const PRECEDING: &[(&str, &[ParamDefault])] = &[
    (
        "maillog_file_prefixes",
        &[
            always("inet_protocols", "all"),
        ],
    ),
    (
        "postlog_service_name",
        &[
            always("maillog_file_compressor", "gzip"),
            since(3, 9, "maillog_file_permissions", "0600"),
            always("maillog_file_rotate_suffix", "%Y%m%d-%H%M%S"),
        ],
    ),
    (
        "smtputf8_enable",
        &[
            always("daemon_table_open_error_is_fatal", "no"),
            always("dns_ncache_ttl_fix_enable", "no"),
            always("dnssec_probe", "ns:."),
            since(3, 6, "known_tcp_ports", "lmtp=24, smtp=25, smtps=submissions=465, submission=587"),
        ],
    ),
    (
        "myhostname",
        &[
            always("enable_idna2003_compatibility", "no"),
            since(3, 11, "non_bdb_migration_log_redirect", "yes"),
            since(3, 11, "requiretls_enable", "yes"),
            since(3, 6, "respectful_logging", "${{$compatibility_level} <level {3.6} ? {no} : {yes}}"),
            since(3, 10, "tls_required_enable", "yes"),
        ],
    ),
    (
        "myorigin",
        &[
            always("mydestination", "$myhostname, localhost.$mydomain, localhost"),
        ],
    ),
    (
        "default_privs",
        &[
            always("double_bounce_sender", "double-bounce"),
            always("inet_interfaces", "all"),
            always("process_id_directory", "pid"),
        ],
    ),
    (
        "mail_release_date",
        &[
            before(3, 11, "alias_database", "hash:/etc/aliases"),
        ],
    ),
    (
        "max_use",
        &[
            always("address_verify_service_name", "verify"),
            always("bounce_service_name", "bounce"),
            always("cleanup_service_name", "cleanup"),
            since(3, 11, "default_cache_db_type", "lmdb"),
            before(3, 11, "default_database_type", "hash"),
            since(3, 11, "default_database_type", "cdb"),
            always("default_process_limit", "100"),
            always("default_verp_delimiters", "+="),
            always("defer_service_name", "defer"),
            always("error_service_name", "error"),
            always("export_environment", "TZ MAIL_CONFIG LANG"),
            always("flush_service_name", "flush"),
            always("hash_queue_names", "deferred, defer"),
            before(3, 11, "import_environment", "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME"),
            since(3, 11, "import_environment", "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME XDG_RUNTIME_DIR"),
            always("info_log_address_format", "external"),
            always("message_drop_headers", "bcc, content-length, resent-bcc, return-path"),
            always("mynetworks_style", "${{$compatibility_level} <level {2} ? {subnet} : {host}}"),
            since(3, 11, "non_bdb_migration_level", "disable"),
            since(3, 11, "non_bdb_migration_service_name", "nbdb_reindex"),
            always("parent_domain_matches_subdomains", "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps"),
            always("pickup_service_name", "pickup"),
            always("proxymap_service_name", "proxymap"),
            always("proxywrite_service_name", "proxywrite"),
            always("queue_service_name", "qmgr"),
            always("rewrite_service_name", "rewrite"),
            always("showq_service_name", "showq"),
            always("smtputf8_autodetect_classes", "sendmail, verify"),
            always("trace_service_name", "trace"),
            always("verp_delimiter_filter", "-=+"),
            always("relay_domains", "${{$compatibility_level} <level {2} ? {$mydestination} : {}}"),
            always("fast_flush_domains", "$relay_domains"),
            since(3, 11, "alias_database", "$default_database_type:/etc/aliases"),
        ],
    ),
    (
        "max_idle",
        &[
            always("address_verify_negative_cache", "yes"),
            always("application_event_drain_time", "100s"),
            always("backwards_bounce_logfile_compatibility", "yes"),
            always("berkeley_db_create_buffer_size", "16777216"),
            always("berkeley_db_read_buffer_size", "131072"),
            always("debug_peer_level", "2"),
            always("delay_logging_resolution_limit", "2"),
            always("deliver_lock_attempts", "20"),
            always("disable_dns_lookups", "no"),
            always("disable_mime_input_processing", "no"),
            always("disable_mime_output_conversion", "no"),
            always("dont_remove", "0"),
            always("enable_long_queue_ids", "no"),
            always("enable_original_recipient", "yes"),
            always("fault_injection_code", "0"),
            always("fork_attempts", "5"),
            always("hash_queue_depth", "1"),
            always("header_address_token_limit", "10240"),
            always("header_size_limit", "102400"),
            always("helpful_warnings", "yes"),
            always("line_length_limit", "2048"),
            always("lmdb_map_size", "16777216"),
            always("message_size_limit", "10240000"),
            always("mime_boundary_length_limit", "2048"),
            always("mime_nesting_limit", "100"),
            always("multi_instance_enable", "no"),
            always("owner_request_special", "yes"),
            always("send_cyrus_sasl_authzid", "no"),
            since(3, 12, "socketmap_max_query_size", "10000"),
            since(3, 10, "socketmap_max_reply_size", "100000"),
            always("soft_bounce", "no"),
            always("strict_7bit_headers", "no"),
            always("strict_8bitmime", "no"),
            always("strict_8bitmime_body", "no"),
            always("strict_mime_encoding_domain", "no"),
            always("strict_smtputf8", "no"),
            always("tcp_windowsize", "0"),
        ],
    ),
    (
        "daemon_timeout",
        &[
            always("deliver_lock_delay", "1s"),
            always("fork_delay", "1s"),
            always("ipc_idle", "5s"),
            always("ipc_ttl", "1000s"),
            always("stale_lock_time", "500s"),
            always("trigger_timeout", "10s"),
        ],
    ),
    (
        "connection_cache_ttl_limit",
        &[
            always("in_flow_delay", "1s"),
        ],
    ),
];

const fn always(name: &'static str, default: &'static str) -> ParamDefault {
    ParamDefault {
        name,
        default,
        since: MailVersion::new(0, 0),
        before: MailVersion::new(u32::MAX, 0),
    }
}

const fn since(major: u32, minor: u32, name: &'static str, default: &'static str) -> ParamDefault {
    ParamDefault {
        since: MailVersion::new(major, minor),
        ..always(name, default)
    }
}

const fn before(major: u32, minor: u32, name: &'static str, default: &'static str) -> ParamDefault {
    ParamDefault {
        before: MailVersion::new(major, minor),
        ..always(name, default)
    }
}
