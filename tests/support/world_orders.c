#include "tests/support/world_orders.h"

#include "tests/support/process.h"
#include <string.h>

static char *text(struct fixture_inputs *inputs, const char *source)
{
    return mm_arena_strndup(inputs->arena, source, strlen(source));
}

#define MAKE(inputs, message, prefix)                                                              \
    do {                                                                                           \
        (message) = mm_arena_calloc((inputs)->arena, 1, sizeof *(message));                        \
        prefix##__init(message);                                                                   \
    } while (0)

static Mmorts__World__Hex *hex(struct fixture_inputs *inputs, int32_t q, int32_t r)
{
    Mmorts__World__Hex *at;
    MAKE(inputs, at, mmorts__world__hex);
    at->q = q;
    at->r = r;
    return at;
}

Mmorts__World__Command *fixture_build(struct fixture_inputs *inputs, uint64_t player_id,
                                      uint64_t client_seq, const uint64_t *units, size_t count,
                                      const char *building, int32_t q, int32_t r, bool queued)
{
    Mmorts__World__Command *command = fixture_command(inputs, player_id, client_seq, units, count);
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_BUILD;
    MAKE(inputs, command->build, mmorts__world__build_order);
    command->build->building = text(inputs, building);
    command->build->place = hex(inputs, q, r);
    command->queued = queued;
    return command;
}

Mmorts__World__Command *fixture_repair(struct fixture_inputs *inputs, uint64_t player_id,
                                       uint64_t client_seq, const uint64_t *units, size_t count,
                                       uint64_t target, bool queued)
{
    Mmorts__World__Command *command = fixture_command(inputs, player_id, client_seq, units, count);
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_REPAIR;
    MAKE(inputs, command->repair, mmorts__world__repair_order);
    command->repair->target = target;
    command->queued = queued;
    return command;
}

Mmorts__World__Command *fixture_cancel_build(struct fixture_inputs *inputs, uint64_t player_id,
                                             uint64_t client_seq, uint64_t building)
{
    Mmorts__World__Command *command = fixture_command(inputs, player_id, client_seq, &building, 0);
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD;
    MAKE(inputs, command->cancel_build, mmorts__world__cancel_build_order);
    command->cancel_build->building = building;
    return command;
}

Mmorts__World__Command *fixture_rally(struct fixture_inputs *inputs, uint64_t player_id,
                                      uint64_t client_seq, const uint64_t *buildings, size_t count,
                                      int32_t q, int32_t r)
{
    Mmorts__World__Command *command =
        fixture_command(inputs, player_id, client_seq, buildings, count);
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_RALLY;
    MAKE(inputs, command->rally, mmorts__world__rally_order);
    command->rally->target = hex(inputs, q, r);
    return command;
}

Mmorts__World__Command *fixture_patrol(struct fixture_inputs *inputs, uint64_t player_id,
                                       uint64_t client_seq, const uint64_t *units, size_t count,
                                       const int32_t *points, size_t point_count, bool queued)
{
    Mmorts__World__Command *command = fixture_command(inputs, player_id, client_seq, units, count);
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_PATROL;
    MAKE(inputs, command->patrol, mmorts__world__patrol_order);
    command->patrol->points =
        mm_arena_calloc(inputs->arena, point_count + 1, sizeof *command->patrol->points);
    command->patrol->n_points = point_count;
    for (size_t i = 0; i < point_count; i++)
        command->patrol->points[i] = hex(inputs, points[2 * i], points[2 * i + 1]);
    command->queued = queued;
    return command;
}

Mmorts__World__Command *fixture_wander(struct fixture_inputs *inputs, uint64_t player_id,
                                       uint64_t client_seq, const uint64_t *units, size_t count,
                                       uint32_t radius, bool queued)
{
    Mmorts__World__Command *command = fixture_command(inputs, player_id, client_seq, units, count);
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_WANDER;
    MAKE(inputs, command->wander, mmorts__world__wander_order);
    command->wander->radius_hexes = radius;
    command->queued = queued;
    return command;
}

// --- of servers ---------------------------------------------------------------------------------

static world_input *add(struct fixture_inputs *inputs, Mmorts__World__Input__InputCase kind)
{
    if (inputs->count == inputs->capacity)
        test_fail("more than %zu inputs", inputs->capacity);
    world_input *input;
    MAKE(inputs, input, mmorts__world__input);
    input->input_case = kind;
    inputs->items[inputs->count++] = input;
    return input;
}

static ProtobufCBinaryData key_of(struct fixture_inputs *inputs, const char *key)
{
    return (ProtobufCBinaryData){strlen(key), (uint8_t *)text(inputs, key)};
}

void fixture_settle(struct fixture_inputs *inputs, uint64_t bill, bool paid)
{
    Mmorts__World__Settlement *settlement;
    MAKE(inputs, settlement, mmorts__world__settlement);
    settlement->bill = bill;
    settlement->paid = paid;
    add(inputs, MMORTS__WORLD__INPUT__INPUT_SETTLEMENT)->settlement = settlement;
}

Mmorts__World__SetEntityRequest *fixture_set_entity(struct fixture_inputs *inputs, const char *key,
                                                    uint64_t entity, size_t change_count)
{
    Mmorts__World__SetEntityRequest *request;
    MAKE(inputs, request, mmorts__world__set_entity_request);
    request->key = key_of(inputs, key);
    request->entity = entity;
    request->changes = mm_arena_calloc(inputs->arena, change_count + 1, sizeof *request->changes);
    request->n_changes = change_count;
    for (size_t i = 0; i < change_count; i++)
        MAKE(inputs, request->changes[i], mmorts__world__entity_change);
    add(inputs, MMORTS__WORLD__INPUT__INPUT_SET_ENTITY)->set_entity = request;
    return request;
}

void fixture_set_alliances(struct fixture_inputs *inputs, const uint32_t *empires,
                           const uint64_t *alliances, size_t count)
{
    Mmorts__World__SetAlliancesRequest *request;
    MAKE(inputs, request, mmorts__world__set_alliances_request);
    request->empire = mm_arena_calloc(inputs->arena, count + 1, sizeof *request->empire);
    request->alliance = mm_arena_calloc(inputs->arena, count + 1, sizeof *request->alliance);
    for (size_t i = 0; i < count; i++) {
        request->empire[i] = empires[i];
        request->alliance[i] = alliances[i];
    }
    request->n_empire = request->n_alliance = count;
    add(inputs, MMORTS__WORLD__INPUT__INPUT_SET_ALLIANCES)->set_alliances = request;
}

void fixture_set_sharing(struct fixture_inputs *inputs, uint32_t first, uint32_t last,
                         const uint32_t (*pairs)[2], size_t count, Mmorts__World__AlliesLend allies)
{
    Mmorts__World__SetSharingRequest *request;
    MAKE(inputs, request, mmorts__world__set_sharing_request);
    request->first = first;
    request->last = last;
    request->allies = allies;
    request->borrower = mm_arena_calloc(inputs->arena, count + 1, sizeof *request->borrower);
    request->lender = mm_arena_calloc(inputs->arena, count + 1, sizeof *request->lender);
    for (size_t i = 0; i < count; i++) {
        request->borrower[i] = pairs[i][0];
        request->lender[i] = pairs[i][1];
    }
    request->n_borrower = request->n_lender = count;
    add(inputs, MMORTS__WORLD__INPUT__INPUT_SET_SHARING)->set_sharing = request;
}

void fixture_random_sharing(struct fixture_inputs *inputs, struct mm_rng *rng, uint32_t empires)
{
    uint32_t first = (uint32_t)mm_rng_between(rng, 1, empires), pairs[64][2];
    uint32_t last =
        mm_rng_chance(rng, 1, 4) ? UINT32_MAX : (uint32_t)mm_rng_between(rng, 1, empires);
    size_t count = 0;
    for (uint32_t borrower = first; borrower <= last && borrower <= empires; borrower++)
        for (uint32_t lender = 1; lender <= empires; lender++) {
            if ((lender == borrower && !mm_rng_chance(rng, 1, 30)) || !mm_rng_chance(rng, 1, 3))
                continue;
            pairs[count][0] = borrower;
            pairs[count++][1] = lender;
        }
    fixture_set_sharing(inputs, first, last, pairs, count,
                        (Mmorts__World__AlliesLend)mm_rng_below(rng, 4));
    uint32_t empire = (uint32_t)mm_rng_between(rng, 1, empires);
    fixture_set_alliances(inputs, &empire, &(uint64_t){mm_rng_below(rng, 4)}, 1);
}

void fixture_announce(struct fixture_inputs *inputs, const char *key, const char *line)
{
    Mmorts__World__AnnounceRequest *request;
    MAKE(inputs, request, mmorts__world__announce_request);
    request->key = key_of(inputs, key);
    request->text = text(inputs, line);
    add(inputs, MMORTS__WORLD__INPUT__INPUT_ANNOUNCE)->announce = request;
}

void fixture_spawn_beside(struct fixture_inputs *inputs, const char *key, const char *type,
                          uint32_t empire, uint32_t count, uint64_t beside)
{
    Mmorts__World__SpawnRequest *spawn;
    MAKE(inputs, spawn, mmorts__world__spawn_request);
    spawn->key = key_of(inputs, key);
    spawn->type = text(inputs, type);
    spawn->empire = empire;
    spawn->count = count;
    spawn->beside = beside;
    add(inputs, MMORTS__WORLD__INPUT__INPUT_SPAWN)->spawn = spawn;
}
