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
/* api/admin_login.c */
http_handler admin_login_post, admin_login_session, admin_login_logout;
/* api/admin_users.c */
http_handler admin_users_get, admin_users_create, admin_users_block;
/* api/admin_stats.c */
http_handler admin_stats_get;

#endif
