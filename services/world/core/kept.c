#include "services/world/core/kept.h"

#include "libcommon/base/seq.h"

enum world_kept_answer world_kept_look(const struct world_player *player, uint64_t client_seq,
                                       const struct world_kept_result **out)
{
    uint64_t highest = 0; // in its range; in one that is not known everything is new
    *out = NULL;
    for (uint32_t i = 0; i < WORLD_RESULTS_KEPT; i++) {
        uint64_t seq = player->kept[i].client_seq;
        if (seq == client_seq) {
            *out = &player->kept[i];
            return WORLD_KEPT_KNOWN;
        }
        if (seq > highest && mm_seq_range(seq) == mm_seq_range(client_seq))
            highest = seq;
    }
    return client_seq > highest ? WORLD_KEPT_NEW : WORLD_KEPT_FORGOTTEN;
}

// Whether nothing newer is known of its range; `next` is about to be.
static bool is_newest(const struct world_player *player, uint32_t place, uint64_t next)
{
    uint64_t seq = player->kept[place].client_seq, range = mm_seq_range(seq);
    if (seq == 0 || range == mm_seq_range(next))
        return false;
    for (uint32_t i = 0; i < WORLD_RESULTS_KEPT; i++) {
        if (player->kept[i].client_seq > seq && mm_seq_range(player->kept[i].client_seq) == range)
            return false;
    }
    return true;
}

// The lowest number's place in the range that was used the longest ago, if there are more ranges
// than may stay; WORLD_RESULTS_KEPT otherwise.
static uint32_t place_of_stalest(const struct world_player *player, uint64_t next)
{
    uint32_t ranges = 1; // that of the next one
    const struct world_kept_result *stalest = NULL;
    for (uint32_t i = 0; i < WORLD_RESULTS_KEPT; i++) {
        const struct world_kept_result *kept = &player->kept[i];
        if (!is_newest(player, i, next))
            continue;
        ranges++;
        if (!stalest || kept->tick < stalest->tick ||
            (kept->tick == stalest->tick && kept->client_seq < stalest->client_seq))
            stalest = kept;
    }
    if (!stalest || ranges <= WORLD_SEQ_RANGES_MAX)
        return WORLD_RESULTS_KEPT;
    uint32_t place = (uint32_t)(stalest - player->kept);
    uint64_t range = mm_seq_range(stalest->client_seq);
    for (uint32_t i = 0; i < WORLD_RESULTS_KEPT; i++) {
        uint64_t seq = player->kept[i].client_seq;
        if (seq != 0 && mm_seq_range(seq) == range && seq < player->kept[place].client_seq)
            place = i;
    }
    return place;
}

void world_kept_put(struct world_player *player, uint64_t client_seq, uint64_t tick)
{
    uint32_t place = player->kept_next;
    if (is_newest(player, place, client_seq)) {
        // Connections come and go: this is rare, and looks at everything.
        uint32_t stalest = place_of_stalest(player, client_seq);
        if (stalest < WORLD_RESULTS_KEPT) {
            place = stalest;
            player->kept_next = (player->kept_next + 1) % WORLD_RESULTS_KEPT;
        }
        // Else so few are the newest of their ranges that one behind them is not.
        while (stalest == WORLD_RESULTS_KEPT && is_newest(player, place, client_seq))
            place = player->kept_next = (place + 1) % WORLD_RESULTS_KEPT;
    }
    if (place == player->kept_next)
        player->kept_next = (place + 1) % WORLD_RESULTS_KEPT;
    player->kept[place] = (struct world_kept_result){client_seq, tick, 0};
}
