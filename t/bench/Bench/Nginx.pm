# An nginx with WebDAV PUT and GET on a free loopback port: the reference for blobs. Ends with the object.
package Bench::Nginx;
use v5.36;
use parent 'Verstak::Guard';
use Verstak::Postgres;
use Verstak::Processes qw(kill_all);
use Verstak::Wait qw(wait_for);
use IO::Socket::INET;

sub rank ($self) { return 1 }

sub new ($class) {
    my $self = $class->adopt({}, 'vss-nginx');
    my $port = $self->{port} = Verstak::Postgres::free_port();
    my $base = $self->{base};
    mkdir "$base/$_" or die "cannot make $base/$_: $!\n" for qw(files body);
    my $user = $> == 0 ? 'user root;' : '';
    open my $fh, '>', "$base/nginx.conf" or die "cannot write $base/nginx.conf: $!\n";
    print {$fh} <<~END;
        $user
        worker_processes 1;
        daemon off;
        pid $base/pid;
        error_log $base/error.log;
        events { worker_connections 1024; }
        http {
            access_log off;
            sendfile on;
            client_max_body_size 1g;
            client_body_temp_path $base/body;
            proxy_temp_path $base/proxy; fastcgi_temp_path $base/fastcgi; uwsgi_temp_path $base/uwsgi; scgi_temp_path $base/scgi;
            server {
                listen 127.0.0.1:$port;
                location / { root $base/files; dav_methods PUT; }
            }
        }
        END
    close $fh or die "cannot write $base/nginx.conf: $!\n";
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if (!$pid) {
        $ENV{PATH} .= ':/usr/sbin';
        exec 'nginx', '-p', $base, '-e', "$base/error.log", '-c', "$base/nginx.conf" or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    wait_for('nginx', 10, sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
    return $self;
}

sub file ($self, $name) { return "$self->{base}/files/$name" }
sub url ($self) { return "http://127.0.0.1:$self->{port}" }

sub shutdown ($self) {    ## no critic
    my $pid = delete $self->{pid} // return;
    kill QUIT => $pid;
    waitpid $pid, 0;
    return;
}

1;
