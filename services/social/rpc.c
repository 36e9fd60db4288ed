#include <string.h>

#include "gen/auth.pb-c.h"
#include "services/social/app.h"

typedef Mmorts__Social__Social_Service Service;

// The app, if the session is ours; else the call has been failed.
static struct social_app *session_app(struct mm_rpc_call *call, const char *session)
{
    struct social_app *app = mm_rpc_call_context(call);
    if (strcmp(session, app->session) == 0)
        return app;
    mm_rpc_fail(call, MM_NOT_FOUND, "no session '%s' here; this is '%s'", session, app->session);
    return NULL;
}

#define SOCIAL_HANDLER(method, Request, Reply, function)                                           \
    static void rpc_##method(Service *service, const Mmorts__Social__##Request *input,             \
                             Mmorts__Social__##Reply##_Closure closure, void *closure_data)        \
    {                                                                                              \
        (void)service;                                                                             \
        (void)closure;                                                                             \
        struct social_app *app = session_app(closure_data, input->session);                        \
        if (app)                                                                                   \
            function(app, closure_data, input);                                                    \
    }

SOCIAL_HANDLER(set_online, SetOnlineRequest, SetOnlineReply, social_set_online)
SOCIAL_HANDLER(set_offline, SetOfflineRequest, SetOfflineReply, social_set_offline)
SOCIAL_HANDLER(heartbeat, HeartbeatRequest, HeartbeatReply, social_heartbeat)
SOCIAL_HANDLER(list_online, ListOnlineRequest, ListOnlineReply, social_list_online)
SOCIAL_HANDLER(get_presence, GetPresenceRequest, GetPresenceReply, social_get_presence)
SOCIAL_HANDLER(send_chat, SendChatRequest, SendChatReply, social_send_chat)
SOCIAL_HANDLER(announce, AnnounceRequest, AnnounceReply, social_announce)
SOCIAL_HANDLER(create_group, CreateGroupRequest, GroupReply, social_create_group)
SOCIAL_HANDLER(act_on_group, ActOnGroupRequest, GroupReply, social_act_on_group)
SOCIAL_HANDLER(get_group, GetGroupRequest, GetGroupReply, social_get_group)
SOCIAL_HANDLER(list_groups, ListGroupsRequest, ListGroupsReply, social_list_groups)
SOCIAL_HANDLER(get_player_groups, GetPlayerGroupsRequest, GetPlayerGroupsReply,
               social_get_player_groups)
SOCIAL_HANDLER(list_memberships, ListMembershipsRequest, ListMembershipsReply,
               social_list_memberships)
SOCIAL_HANDLER(send_mail, SendMailRequest, SendMailReply, social_send_mail)
SOCIAL_HANDLER(send_group_mail, SendGroupMailRequest, SendMailReply, social_send_group_mail)
SOCIAL_HANDLER(get_inbox, GetInboxRequest, GetInboxReply, social_get_inbox)
SOCIAL_HANDLER(read_mail, ReadMailRequest, ReadMailReply, social_read_mail)
SOCIAL_HANDLER(delete_mail, DeleteMailRequest, DeleteMailReply, social_delete_mail)

static Service social_service = MMORTS__SOCIAL__SOCIAL__INIT(rpc_);

static const struct mm_rpc_policy policies[] = {
    {"SetOnline", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true,
     .idempotent = true},
    {"SetOffline", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true,
     .idempotent = true},
    {"Heartbeat", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = false,
     .idempotent = true},
    {"ListOnline", MM_RPC_ANY_PLAYER, .idempotent = true},
    {"GetPresence", MM_RPC_ANY_PLAYER, .idempotent = true},
    {"SendChat", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true},
    {"Announce", MMORTS__AUTH__PERMISSION__PERMISSION_MODERATE, .mutating = true},
    {"CreateGroup", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true,
     .idempotent = true},
    {"ActOnGroup", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true,
     .idempotent = true},
    {"GetGroup", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .idempotent = true},
    {"ListGroups", MM_RPC_ANY_PLAYER, .idempotent = true},
    {"GetPlayerGroups", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .idempotent = true},
    {"ListMemberships", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .idempotent = true},
    {"SendMail", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true,
     .idempotent = true},
    {"SendGroupMail", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true,
     .idempotent = true},
    {"GetInbox", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .idempotent = true},
    {"ReadMail", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true,
     .idempotent = true},
    {"DeleteMail", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true,
     .idempotent = true},
};

void social_rpc_register(struct social_app *app)
{
    mm_rpc_server_register(mm_service_rpc_server(app->service), &social_service.base, app, policies,
                           sizeof policies / sizeof policies[0]);
}
