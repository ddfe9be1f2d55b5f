/* The handlers that api/routes.c names; each stands in the file of its resource. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "http/route.h"

/* api/health.c */
http_handler health_get, health_livez;
/* api/root.c */
http_handler root_get;
/* api/pair.c */
http_handler pair_post;
/* api/auth_test.c */
http_handler auth_test_post;
/* api/device.c */
http_handler device_me, device_revoke_current, device_revoke;
/* api/sync_push.c, api/sync_pull.c */
http_handler sync_push_post, sync_pull_post;
/* api/blobs.c */
http_handler blobs_get;
/* api/upload.c */
http_handler upload_post;
/* api/register.c, api/confirm.c, api/forgot.c, api/reset.c */
http_handler register_post, confirm_get, confirm_post, forgot_post, reset_post;
/* api/user_login.c */
http_handler user_login_post, user_login_logout, user_login_logout_all;
/* api/user_account.c */
http_handler user_account_me, user_account_password, user_account_email, user_account_delete;
/* api/user_devices.c */
http_handler user_devices_get, user_devices_revoke;
/* api/pages.c */
http_handler pages_confirm_get, pages_reset_get, pages_css_get;
/* api/admin_login.c */
http_handler admin_login_post, admin_login_session, admin_login_logout;
/* api/admin_users.c */
http_handler admin_users_get, admin_users_block, admin_users_edit, admin_users_delete;
/* api/admin_passwords.c */
http_handler admin_passwords_create, admin_passwords_reset;
/* api/admin_devices.c */
http_handler admin_devices_get, admin_devices_keys, admin_devices_delete_key;
/* api/admin_settings.c, api/admin_smtp.c, api/admin_smtp_test.c */
http_handler admin_settings_get, admin_settings_post, admin_smtp_get, admin_smtp_post, admin_smtp_test_post;
/* api/admin_outbox.c */
http_handler admin_outbox_get, admin_outbox_retry;
/* api/admin_stats.c */
http_handler admin_stats_get;

#endif
