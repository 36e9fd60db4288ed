#include "services/world/rules_yaml.h"

#include "services/world/rules_where.h"
#include "services/world/rules_yaml_internal.h"

enum mm_err world_rules_read(struct mm_yaml *types, struct mm_yaml *map, struct world_rules *rules)
{
    world_rules_init(rules);
    world_rules_read_types(types, rules);
    if (mm_yaml_error_count(types) == 0)
        world_rules_read_map(map, rules);
    struct world_rules_fault fault;
    if (mm_yaml_error_count(types) + mm_yaml_error_count(map) == 0 &&
        world_rules_find_fault(rules, &fault) != MM_OK)
        world_rules_fail_where(fault.file == WORLD_RULES_MAP ? map : types, &fault);
    return mm_yaml_error_count(types) + mm_yaml_error_count(map) == 0 ? MM_OK : MM_INVALID_ARGUMENT;
}

static void report_all(struct mm_yaml *doc, world_rules_report_fn report, void *ctx)
{
    for (size_t i = 0; report && mm_yaml_error(doc, i); i++)
        report(ctx, mm_yaml_error(doc, i));
}

enum mm_err world_rules_load(const char *types_path, const char *map_path,
                             struct world_rules *rules, world_rules_report_fn report, void *ctx)
{
    struct mm_yaml *types = mm_yaml_load(types_path);
    struct mm_yaml *map = mm_yaml_load(map_path);
    enum mm_err err = world_rules_read(types, map, rules);
    report_all(types, report, ctx);
    report_all(map, report, ctx);
    mm_yaml_free(map);
    mm_yaml_free(types);
    return err;
}
