#include "tests/sim/sim_internal.h"

#include "libcommon/base/hash.h"
#include "libcommon/base/id.h"

#include <stdlib.h>
#include <string.h>

// The wire from sync to a client, which may break between any two messages, and bugs that are
// planted in what it carries.

enum { SPOIL_ROOM = 64 };

// Planted bug: the first stranger's unit in the text is shown with what it carries.
static void leak_carried(struct sim *sim, const struct sim_client *client, char *text)
{
    char own[MM_ID_TEXT_BYTES];
    (void)mm_id_format(own, "empire_", sim->empire_ids[client->player.empire]);
    for (char *at = strstr(text, "\"owner\":\"empire_"); at;
         at = strstr(at + 1, "\"owner\":\"empire_")) {
        char *data = strstr(at, "\"data\":{");
        if (strncmp(at + 9, own, strlen(own)) == 0 || !data)
            continue;
        static const char secret[] = "\"carried\":7,";
        memmove(data + 8 + strlen(secret), data + 8, strlen(data + 8) + 1);
        memcpy(data + 8, secret, strlen(secret));
        return;
    }
}

// Bugs between sync and its client, planted in the text itself.
static void spoil_text(struct sim *sim, struct sim_client *client, char *text)
{
    char *at = NULL;
    switch (sim->options.fault) {
    case SIM_FAULT_TICK_GOES_BACK:
        at = strstr(text, "\"tick\":");
        if (at && client->player.tick > 200 && sim_chance(sim, 50))
            at[7] = '1';
        break;
    case SIM_FAULT_OWNER_ONLY_LEAKED:
        if (strstr(text, "\"appeared\":"))
            leak_carried(sim, client, text);
        break;
    case SIM_FAULT_UNEXPLORED_HEX_TOLD:
        at = strstr(text, "\"vision\":[{\"hex\":[");
        if (at && !sim->fault_done && client->player.tick > 100) {
            // The first hex of the list becomes its neighbour.
            char *digit = at + 18 + (at[18] == '-');
            digit[0] = digit[0] == '9' ? '8' : (char)(digit[0] + 1);
            sim->fault_done = true;
        }
        break;
    default:
        break;
    }
}

// And in a binary message. An update of nothing but changes in the tick after the last one begins
// with 0x80, then the first change's number and step.
static void spoil_bytes(struct sim *sim, uint8_t *data, size_t len)
{
    if (len < 2 || data[0] != 0x80 || (data[1] & 7) > 5 || !sim_chance(sim, 100))
        return;
    if (sim->options.fault == SIM_FAULT_STEP_ASTRAY)
        data[1] = (uint8_t)((data[1] & ~7) | ((data[1] & 7) + 1) % 6);
    else if (sim->options.fault == SIM_FAULT_NUMBER_OFF_BY_ONE && data[1] >> 3 < 30)
        data[1] = (uint8_t)(data[1] + 8);
}

// Whether the next message still gets through.
bool sim_wire_arrives(struct sim_client *client)
{
    if (!client->breaking)
        return true;
    if (client->arrives == 0)
        return false;
    client->arrives--;
    return true;
}

static void take(struct sim *sim, struct sim_client *client, uint8_t *data, size_t len)
{
    client->sent += len;
    if (!sim_wire_arrives(client) ||
        (sim->options.fault == SIM_FAULT_UPDATE_DROPPED && sim_chance(sim, 20)))
        return;
    if (client->encoding == SYNC_BINARY) {
        spoil_bytes(sim, data, len);
        sim->report->digest = mm_hash64(data, len, sim->report->digest);
        sim_player_take_binary(sim, &client->player, data, len);
        if (sim->options.fault == SIM_FAULT_STEP_TWICE && data[0] == 0x80 && sim_chance(sim, 100))
            sim_player_take_binary(sim, &client->player, data, len);
        return;
    }
    char *text = (char *)data;
    text[len] = '\0';
    spoil_text(sim, client, text);
    if (sim->options.fault != SIM_FAULT_NONE)
        len = strlen(text);
    sim->report->digest = mm_hash64(text, len, sim->report->digest);
    sim_player_take(sim, &client->player, text, len);
}

// One message, with room for what a planted bug adds.
static uint8_t *room(size_t len)
{
    static uint8_t *data;
    static size_t capacity;
    if (len + SPOIL_ROOM > capacity) {
        capacity = 2 * len + 4096;
        data = realloc(data, capacity);
        if (!data)
            abort();
    }
    return data;
}

void sim_wire_bytes(struct sim *sim, struct sim_client *client, const void *data, size_t len)
{
    uint8_t *copy = room(len);
    memcpy(copy, data, len);
    take(sim, client, copy, len);
}

void sim_wire_message(struct sim *sim, struct sim_client *client,
                      const struct sync_message *message)
{
    const struct sync_encoder *e = &sim->sync.encoder;
    uint8_t *data = room(message->bytes);
    size_t len = 0;
    for (size_t i = 0; i < message->slice_count; i++) {
        const struct sync_slice *slice = &e->slices.items[message->slice + i];
        memcpy(data + len, e->buf.data + slice->offset, slice->len);
        len += slice->len;
    }
    take(sim, client, data, len);
}
