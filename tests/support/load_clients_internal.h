#ifndef TESTS_SUPPORT_LOAD_CLIENTS_INTERNAL_H
#define TESTS_SUPPORT_LOAD_CLIENTS_INTERNAL_H

#include "tests/support/load_clients.h"
#include "tests/support/load_receive.h"
#include "tests/support/load_ring.h"

#include <openssl/ssl.h>
#include <zlib.h>

enum {
    LOAD_READ_BYTES = 4 << 20, // no message is longer
    LOAD_READ_ONCE = 256 << 10,
    LOAD_HANDSHAKE_BYTES = 8192,
    LOAD_SLOW_PERIOD_MS = 50,
};

// What every update needs stands in front: with thousands of clients none of it is in a cache.
struct load_client {
    int fd;
    enum load_state state;
    uint32_t part_len, part_capacity;
    uint8_t *part;  // the beginning of a frame
    bool json;      // asked for, or being spoken
    bool deflate;   // asks for compression, or has got it
    bool stalled;   // is not read
    bool in_ring;   // the ring reads it, and
    bool ceasing;   // was told not to
    bool unknown;   // when the last update arrived
    bool wanted;    // is to be open
    bool told_json; // in which encoding the picture was told
    bool resumes;   // asked to go on where it had stopped
    bool in_epoll;
    SSL *tls;            // NULL: not spoken
    uint32_t turn;       // which of its connections this is: of the ring's tag
    uint32_t slow_bytes; // read in each LOAD_SLOW_PERIOD_MS; 0: everything
    uint64_t updated_ns; // by the kernel's stamp; 0: a series of intervals begins
    uint64_t updated_tick;
    uint64_t visible_ns; // since when its effect is awaited; 0: it is not
    struct load_view view;
    uint64_t opened_ns, closed_ns;
    uint64_t next_seq, command_ns; // 0: none is unanswered
    char accept[32];
};

struct load_clients {
    struct load_options options;
    struct load_client *all;
    struct load_ring *ring; // NULL: this kernel has none; epoll tells then what is to be read
    int epoll;
    SSL_CTX *tls; // NULL: clients do not speak it
    bool afresh;  // who comes back asks for everything
    uint32_t playing, entering, wanted_from;
    uint32_t slow_count;
    uint64_t slow_ns; // when slow clients read next
    struct load_clock clock;
    uint64_t arrived_ns; // what is being taken, the last of it
    bool more_updates;   // follow in what was read with this one: when it arrived is not known
    uint8_t *read, *clear, *joined, *inflated; // clear: out of TLS
    z_stream inflater;
    struct load_figures figures;
};

static inline uint64_t load_client_tag(const struct load_clients *clients,
                                       const struct load_client *client)
{
    return (uint64_t)client->turn << 32 | (uint32_t)(client - clients->all);
}

// load_clients_io.c
void load_clients_begin_wanted(struct load_clients *clients, uint64_t now_ns);
void load_clients_shake(struct load_clients *clients, struct load_client *client);
void load_clients_end(struct load_clients *clients, struct load_client *client);
__attribute__((format(printf, 3, 4))) void load_clients_lose(struct load_clients *clients,
                                                             struct load_client *client,
                                                             const char *format, ...);
// Has it read or not, as its state says.
void load_clients_watch(struct load_clients *clients, struct load_client *client);
void load_clients_send(struct load_clients *clients, struct load_client *client, const void *data,
                       size_t len);

// load_clients_tls.c
void load_clients_trust(struct load_clients *clients);
// Begins TLS; load_clients_shake() when it is there.
void load_clients_secure(struct load_clients *clients, struct load_client *client);
void load_clients_take_sealed(struct load_clients *clients, struct load_client *client,
                              const uint8_t *data, size_t len);
void load_clients_send_sealed(struct load_clients *clients, struct load_client *client,
                              const void *data, size_t len);

// load_clients_frames.c: takes what came, from the handshake's answer on.
void load_clients_take(struct load_clients *clients, struct load_client *client,
                       const uint8_t *data, size_t len);
void load_clients_send_text(struct load_clients *clients, struct load_client *client,
                            const char *text, size_t len);

#endif
