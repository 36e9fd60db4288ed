#include "tests/support/world_cooldowns.h"

#include "tests/support/process.h"
#include <string.h>

#define REASON(name) MMORTS__WORLD__COMMAND_REASON__COMMAND_##name

void cooldown_model_init(struct cooldown_model *model, const struct world_rules *rules)
{
    memset(model, 0, sizeof *model);
    model->rules = rules;
}

// By the field of the message, not by where the world keeps it.
static uint32_t ticks_of(const struct world_rules *rules, int order_case)
{
    static const struct {
        int order_case;
        const char *name;
    } kinds[] = {
        {MMORTS__WORLD__COMMAND__ORDER_MOVE, "move"},
        {MMORTS__WORLD__COMMAND__ORDER_STOP, "stop"},
        {MMORTS__WORLD__COMMAND__ORDER_ATTACK, "attack"},
        {MMORTS__WORLD__COMMAND__ORDER_ATTACK_MOVE, "attack_move"},
        {MMORTS__WORLD__COMMAND__ORDER_PATROL, "patrol"},
        {MMORTS__WORLD__COMMAND__ORDER_WANDER, "wander"},
        {MMORTS__WORLD__COMMAND__ORDER_GATHER, "gather"},
        {MMORTS__WORLD__COMMAND__ORDER_BUILD, "build"},
        {MMORTS__WORLD__COMMAND__ORDER_REPAIR, "repair"},
        {MMORTS__WORLD__COMMAND__ORDER_RALLY, "rally"},
        {MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD, "cancel_build"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (int k = 0; k < WORLD_COMMAND_KINDS && kinds[i].order_case == order_case; k++)
            if (strcmp(world_command_names[k], kinds[i].name) == 0)
                return rules->commands.cooldown_ticks[k];
    return 0;
}

static void settled(struct cooldown_model *model, const struct world_result *result)
{
    if (!result->applied || result->reason == REASON(OK))
        return;
    for (size_t i = 0; i < model->bill_count; i++) {
        uint64_t player = model->bills[i].player_id;
        if (model->bills[i].number == result->bill &&
            model->players[player].last[MMORTS__WORLD__COMMAND__ORDER_BUILD].tick ==
                model->bills[i].tick)
            model->players[player].last[MMORTS__WORLD__COMMAND__ORDER_BUILD].counts = false;
    }
}

static void commanded(struct cooldown_model *model, uint64_t tick,
                      const Mmorts__World__Command *command, const struct world_result *result)
{
    uint64_t player = command->player_id, seq = command->client_seq;
    if (player > COOLDOWN_PLAYERS_MAX)
        test_fail("player %llu is none of the model's", (unsigned long long)player);
    bool repeated = seq <= model->players[player].highest_seq;
    bool earlier = repeated || result->reason == REASON(NO_EMPIRE) ||
                   result->reason == REASON(PAUSED) || result->reason == REASON(RATE_LIMITED);
    uint32_t cooldown = ticks_of(model->rules, (int)command->order_case);
    bool counts = model->players[player].last[command->order_case].counts;
    uint64_t passed = tick - model->players[player].last[command->order_case].tick;
    bool too_soon = counts && passed < cooldown && !earlier;
    if (too_soon != (result->reason == REASON(COOLDOWN)))
        test_fail("tick %llu: order %d of player %llu, %llu ticks after the last: %s (%s)",
                  (unsigned long long)tick, command->order_case, (unsigned long long)player,
                  (unsigned long long)passed, too_soon ? "taken" : "too soon", result->message);
    if (too_soon && (result->applied || result->retry_after_ticks != cooldown - passed))
        test_fail("tick %llu: told to come back after %u ticks", (unsigned long long)tick,
                  result->retry_after_ticks);
    model->refused += too_soon;
    if (!result->applied)
        return;
    model->players[player].highest_seq = seq;
    model->players[player].last[command->order_case].counts = true;
    model->players[player].last[command->order_case].tick = tick;
    if (result->bill == 0)
        return;
    if (model->bill_count == COOLDOWN_BILLS_MAX)
        test_fail("more than %d bills", COOLDOWN_BILLS_MAX);
    model->bills[model->bill_count].number = result->bill;
    model->bills[model->bill_count].player_id = player;
    model->bills[model->bill_count++].tick = tick;
}

void cooldown_model_check(struct cooldown_model *model, uint64_t tick,
                          const struct fixture_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) {
        const world_input *input = inputs->items[i];
        if (input->input_case == MMORTS__WORLD__INPUT__INPUT_SETTLEMENT)
            settled(model, &inputs->results[i]);
        else if (input->input_case == MMORTS__WORLD__INPUT__INPUT_COMMAND)
            commanded(model, tick, input->command, &inputs->results[i]);
    }
}
