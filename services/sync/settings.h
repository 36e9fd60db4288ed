#ifndef SYNC_SETTINGS_H
#define SYNC_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/service/config.h"

// What may be configured. The table in settings.c has the names, bounds and defaults, and what each
// means, for the command line's help; sync.yaml has them for operators.

struct sync_settings {
    const char *listen;
    bool reuse_port, huge_pages;
    const char *web_dir;
    const char *login_url;
    const char *empires; // that vision tells of: all, or those served here
    struct mm_config_strings origins;
    struct mm_config_strings proxies;      // addresses and networks
    const char *compression;               // off, snapshots, all
    const char *connections;               // of one player: replace, refuse, allow
    int64_t connections_max;               // where they are allowed
    const char *tls_certificate, *tls_key; // files; "": plain
    int64_t clients_max;
    int64_t clients_per_address;
    int64_t handshakes_per_second; // of one address; 0: any number
    int64_t logins_per_minute;     // of one player; 0: any number
    int64_t messages_per_second;
    int64_t orders_per_second;
    int64_t trains_per_second;
    int64_t chats_per_second;
    int64_t send_waiting_bytes; // behind a full socket, before the client skips updates
    int64_t send_buffer_bytes;  // the kernel's
    int64_t bytes_per_second;   // to one client; 0: as many as there are
    int64_t bytes_carried;      // of those it did not use, kept for later
    int64_t band_critical, band_high, band_normal;
    int64_t even_ms; // a tick is kept back at most so long
    int64_t behind_ms;
    int64_t login_ms;
    int64_t ping_ms;
    int64_t idle_ms;
    int64_t command_ms;
    int64_t answer_ms; // of a connection that keeps its player's next one out
    int64_t heartbeat_ms;
    int64_t beat_ms, silent_ms; // of this process, and what tells that it is dead
    int64_t resume_ticks;       // how long a client may be away to go on where it stopped; 0: never
    int64_t resume_log_bytes;
    int64_t resume_reconcile_ticks;
    int64_t resume_views_max; // kept for those who are away
    int64_t rooms_max;
    int64_t room_idle_ms;
};

// The fields of struct sync_app's settings, for struct mm_service_spec.
extern const struct mm_config_field sync_fields[];
extern const size_t sync_field_count;
// What no field can say by itself; state is the struct sync_app.
void sync_check(struct mm_config *config, void *state);

#endif
