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
    {"GET",    "/",                                  CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,     root_get},
    {"GET",    "/livez",                             CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,     health_livez},
    {"GET",    "/readyz",                            CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,     health_get},
    {"GET",    "/api/v1/health",                     CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,     health_get},

    {"POST",   "/api/client/pair",                   CALLER_ANYONE, BODY_JSON,   ATTEMPT_PAIR,     pair_post},
    {"POST",   "/api/auth/test",                     CALLER_ANYONE, BODY_JSON,   ATTEMPT_LOGIN,    auth_test_post},
    {"GET",    "/api/client/me",                     CALLER_DEVICE, BODY_NONE,   ATTEMPT_NONE,     device_me},
    {"POST",   "/api/client/revoke-current",         CALLER_DEVICE, BODY_NONE,   ATTEMPT_NONE,     device_revoke_current},
    {"POST",   "/api/client/revoke-device",          CALLER_DEVICE, BODY_JSON,   ATTEMPT_LOGIN,    device_revoke},
    {"POST",   "/api/v1/sync/push",                  CALLER_DEVICE, BODY_PUSH,   ATTEMPT_NONE,     sync_push_post},
    {"POST",   "/api/v1/sync/pull",                  CALLER_DEVICE, BODY_JSON,   ATTEMPT_NONE,     sync_pull_post},
    {"POST",   "/api/v1/blobs/",                     CALLER_DEVICE, BODY_UPLOAD, ATTEMPT_NONE,     upload_post},
    {"GET",    "/api/v1/blobs/{}",                   CALLER_DEVICE, BODY_NONE,   ATTEMPT_NONE,     blobs_get},

    {"POST",   "/api/v1/auth/register",              CALLER_ANYONE, BODY_JSON,   ATTEMPT_REGISTER, register_post},
    {"GET",    "/api/v1/auth/confirm",               CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,     confirm_get},
    {"POST",   "/api/v1/auth/confirm",               CALLER_ANYONE, BODY_FORM,   ATTEMPT_NONE,     confirm_post},
    {"POST",   "/api/v1/auth/login",                 CALLER_ANYONE, BODY_JSON,   ATTEMPT_LOGIN,    user_login_post},
    {"POST",   "/api/v1/auth/forgot",                CALLER_ANYONE, BODY_JSON,   ATTEMPT_FORGOT,   forgot_post},
    {"POST",   "/api/v1/auth/reset",                 CALLER_ANYONE, BODY_FORM,   ATTEMPT_RESET,    reset_post},
    {"GET",    "/confirm",                           CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,     pages_confirm_get},
    {"GET",    "/reset",                             CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,     pages_reset_get},
    {"GET",    "/assets/page.css",                   CALLER_ANYONE, BODY_NONE,   ATTEMPT_NONE,     pages_css_get},
    {"GET",    "/api/v1/user/me",                    CALLER_USER,   BODY_NONE,   ATTEMPT_NONE,     user_account_me},
    {"GET",    "/api/v1/user/devices",               CALLER_USER,   BODY_NONE,   ATTEMPT_NONE,     user_devices_get},
    {"POST",   "/api/v1/user/devices/{}/revoke",     CALLER_USER,   BODY_JSON,   ATTEMPT_LOGIN,    user_devices_revoke},
    {"POST",   "/api/v1/user/password",              CALLER_USER,   BODY_JSON,   ATTEMPT_LOGIN,    user_account_password},
    {"POST",   "/api/v1/user/email",                 CALLER_USER,   BODY_JSON,   ATTEMPT_LOGIN,    user_account_email},
    {"POST",   "/api/v1/user/logout",                CALLER_USER,   BODY_FORM,   ATTEMPT_NONE,     user_login_logout},
    {"POST",   "/api/v1/user/logout-all",            CALLER_USER,   BODY_FORM,   ATTEMPT_NONE,     user_login_logout_all},
    {"POST",   "/api/v1/user/delete",                CALLER_USER,   BODY_JSON,   ATTEMPT_LOGIN,    user_account_delete},

    {"POST",   "/admin/login",                       CALLER_ANYONE, BODY_FORM,   ATTEMPT_ADMIN,    admin_login_post},
    {"POST",   "/admin/logout",                      CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_login_logout},
    {"GET",    "/admin/api/session",                 CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,     admin_login_session},
    {"GET",    "/admin/api/stats",                   CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,     admin_stats_get},
    {"GET",    "/admin/api/users",                   CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,     admin_users_get},
    {"POST",   "/admin/api/users/create",            CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_passwords_create},
    {"POST",   "/admin/api/users/{}/block",          CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_users_block},
    {"POST",   "/admin/api/users/{}/edit",           CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_users_edit},
    {"POST",   "/admin/api/users/{}/reset-password", CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_passwords_reset},
    {"DELETE", "/admin/api/users/{}",                CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_users_delete},
    {"GET",    "/admin/api/devices",                 CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,     admin_devices_get},
    {"GET",    "/admin/api/keys",                    CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,     admin_devices_keys},
    {"DELETE", "/admin/api/keys/{}",                 CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_devices_delete_key},
    {"GET",    "/admin/api/settings",                CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,     admin_settings_get},
    {"POST",   "/admin/api/settings",                CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_settings_post},
    {"GET",    "/admin/api/smtp",                    CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,     admin_smtp_get},
    {"POST",   "/admin/api/smtp",                    CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_smtp_post},
    {"POST",   "/admin/api/smtp/test",               CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_smtp_test_post},
    {"GET",    "/admin/api/outbox",                  CALLER_ADMIN,  BODY_NONE,   ATTEMPT_NONE,     admin_outbox_get},
    {"POST",   "/admin/api/outbox/{}/retry",         CALLER_ADMIN,  BODY_FORM,   ATTEMPT_NONE,     admin_outbox_retry},
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
