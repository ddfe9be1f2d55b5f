# A CA and certificates for Verstak::Smtp, made by openssl in the test's directory when first asked for.
package Verstak::Smtp::Certificates;
use v5.36;

my %kind = (
    good    => { names => 'DNS:localhost,IP:127.0.0.1,IP:::1' },
    wrong   => { names => 'DNS:mail.example.net,IP:192.0.2.25' },
    expired => { names => 'DNS:localhost,IP:127.0.0.1,IP:::1', end => '20200201000000Z' },
    foreign => { names => 'DNS:localhost,IP:127.0.0.1,IP:::1', ca => 'other' },
);

sub new ($class, $base) {
    my $self = bless { dir => "$base/tls", ca_file => "$base/tls/ca.pem" }, $class;
    if (!-e $self->{ca_file}) {
        mkdir $self->{dir}, 0711 or die "cannot make $self->{dir}: $!\n";
        $self->make_ca('ca');
    }
    return $self;
}

sub openssl ($self, @arguments) {
    my $log = "$self->{dir}/openssl.log";
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if (!$pid) {
        open STDIN,  '<',  '/dev/null' or POSIX::_exit(127);
        open STDOUT, '>>', $log        or POSIX::_exit(127);
        open STDERR, '>&', \*STDOUT    or POSIX::_exit(127);
        { no warnings 'exec'; exec 'openssl', @arguments; }
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    die "openssl @arguments failed, see $log\n" if $?;
    return;
}

sub write_file ($self, $name, $text) {
    open my $fh, '>', "$self->{dir}/$name" or die "cannot write $self->{dir}/$name: $!\n";
    print {$fh} $text;
    close $fh or die "cannot write $self->{dir}/$name: $!\n";
    return "$self->{dir}/$name";
}

sub make_ca ($self, $name) {
    my $path = "$self->{dir}/$name";
    $self->openssl(
        qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2), '-subj', "/CN=Test CA $name",
        '-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-keyout', "$path.key", '-out', "$path.pem"
    );
    chmod 0644, "$path.pem";
    $self->write_file("$name.index", '');
    $self->write_file("$name.conf",  <<~"END");
        [ca]
        default_ca = this
        [this]
        database = $path.index
        rand_serial = yes
        new_certs_dir = $self->{dir}
        certificate = $path.pem
        private_key = $path.key
        default_md = sha256
        policy = any
        unique_subject = no
        [any]
        commonName = supplied
        END
    return;
}

# The files (certificate, key) of a kind: good, wrong, expired, foreign.
sub files ($self, $name) {
    my $kind = $kind{$name} // die "no certificate '$name'\n";
    my $path = "$self->{dir}/$name";
    $self->make($name, $kind) if !-e "$path.pem";
    return ("$path.pem", "$path.key");
}

sub make ($self, $name, $kind) {
    my $path = "$self->{dir}/$name";
    my $ca   = $kind->{ca} // 'ca';
    $self->make_ca($ca) if !-e "$self->{dir}/$ca.pem";
    $self->openssl(
        qw(req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj), "/CN=$name", '-keyout', "$path.key", '-out', "$path.csr"
    );
    my $extensions = $self->write_file("$name.ext", "subjectAltName = $kind->{names}\nbasicConstraints = CA:FALSE\nextendedKeyUsage = serverAuth\n");
    my @dates      = $kind->{end} ? ('-startdate', '20200101000000Z', '-enddate', $kind->{end}) : (qw(-days 2));
    $self->openssl(
        qw(ca -batch -notext), '-config', "$self->{dir}/$ca.conf", '-in', "$path.csr", '-out', "$path.pem", '-extfile', $extensions, @dates
    );
    return;
}

1;
