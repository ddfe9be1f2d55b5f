/*
 * THE table of routes. The router (http/) looks requests up in it, checks who calls and how large the body is, and
 * calls the handler; a row without `who` is refused when the server starts. Whoever adds a row describes it in
 * doc/openapi.yaml (a test compares the two).
 */
#include "api/routes.h"

#include "api/handlers.h"
#include "core/compiler.h"

/* clang-format off */
static const struct route rows[] = {
    /* method, path, who may call, body, attempts, handler */
    {"GET",  "/",                              CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,  root_get},
    {"GET",  "/livez",                         CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,  health_livez},
    {"GET",  "/readyz",                        CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,  health_get},
    {"GET",  "/api/v1/health",                 CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,  health_get},

    {"POST", "/api/client/pair",               CALLER_ANYONE, BODY_JSON,   ATTEMPT_PAIR,  pair_post},
    {"POST", "/api/auth/test",                 CALLER_ANYONE, BODY_JSON,   ATTEMPT_LOGIN, auth_test_post},
    {"GET",  "/api/client/me",                 CALLER_DEVICE, BODY_NONE,   ATTEMPT_NONE,  device_me},
    {"POST", "/api/client/revoke-current",     CALLER_DEVICE, BODY_NONE,   ATTEMPT_NONE,  device_revoke_current},
    {"POST", "/api/client/revoke-device",      CALLER_DEVICE, BODY_JSON,   ATTEMPT_LOGIN, device_revoke},
    {"POST", "/api/v1/sync/push",              CALLER_DEVICE, BODY_PUSH,   ATTEMPT_NONE,  sync_push_post},
    {"POST", "/api/v1/sync/pull",              CALLER_DEVICE, BODY_JSON,   ATTEMPT_NONE,  sync_pull_post},
    {"POST", "/api/v1/blobs/",                 CALLER_DEVICE, BODY_UPLOAD, ATTEMPT_NONE,  upload_post},
    {"GET",  "/api/v1/blobs/{}",               CALLER_DEVICE, BODY_NONE,   ATTEMPT_NONE,  blobs_get},

    {"POST", "/admin/login",                   CALLER_ANYONE, BODY_FORM,   ATTEMPT_ADMIN, admin_login_post},
    {"POST", "/admin/logout",                  CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,  admin_login_logout},
    {"GET",  "/admin/api/session",             CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,  admin_login_session},
    {"GET",  "/admin/api/stats",               CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,  admin_stats_get},
    {"GET",  "/admin/api/users",               CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,  admin_users_get},
    {"POST", "/admin/api/users/create",        CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,  admin_users_create},
    {"POST", "/admin/api/users/{}/block",      CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,  admin_users_block},
};
/* clang-format on */

const struct route_table api_routes = {rows, ARRAY_SIZE(rows)};

static const char *const caller_names[] = {
    [CALLER_UNSET] = "unset", [CALLER_ANYONE] = "anyone", [CALLER_DEVICE] = "device",
    [CALLER_USER] = "user",   [CALLER_ADMIN] = "admin",
};

void routes_print(FILE *out, const struct config *config)
{
    for (size_t i = 0; i < api_routes.count; i++) {
        const struct route *r = &api_routes.rows[i];
        fprintf(out, "%s %s %s %s %zu\n", r->method, r->path, caller_names[r->who],
                attempt_limit(config, r->attempts).name, route_body_limit(config, r->body));
    }
}
