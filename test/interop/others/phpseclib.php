<?php
// phpseclib 2 and 3 as clients: the version, then one mode a run ("server", "once"), one line of JSON a step. See others-clients.test.ts.
[, $version, $mode] = $argv;
require $version === '2' ? '/usr/share/php/phpseclib/autoload.php' : '/usr/share/php/phpseclib3/autoload.php';
$step = 'start';

function done(string $name): void
{
    global $step;
    $step = $name;
    echo json_encode(['step' => $step, 'ok' => true]), "\n";
}

function want(bool $right, string $what): void
{
    if (!$right) {
        throw new Exception("not as expected: $what");
    }
}

function dial(?string $password = null)
{
    global $version;
    $class = $version === '2' ? 'phpseclib\Net\SSH2' : 'phpseclib3\Net\SSH2';
    $ssh = new $class(getenv('TARGET_HOST'), (int) getenv('TARGET_PORT'), 60);
    // It knows no known_hosts; its users compare the key themselves.
    $key = explode(' ', $ssh->getServerPublicHostKey())[1] ?? 'none';
    want(strpos(file_get_contents(getenv('TARGET_KNOWN')), $key) !== false, "the host key $key");
    if ($password === null) {
        $file = file_get_contents(getenv('TARGET_KEY'));
        if ($version === '2') {
            $password = new phpseclib\Crypt\RSA();
            $password->loadKey($file);
        } else {
            $password = phpseclib3\Crypt\PublicKeyLoader::load($file);
        }
    }
    want($ssh->login(getenv('TARGET_USER'), $password), 'sign-in');
    $ssh->setTimeout(60);
    return $ssh;
}

function runs($ssh, string $command, string $out, string $err, int $status): void
{
    $said = $ssh->exec($command);
    want([$said, $ssh->getStdError(), $ssh->getExitStatus()] === [$out, $err, $status], "$said");
}

$modes = [
    'server' => function () {
        global $step;
        $ssh = dial();
        done('key');
        $ssh->enableQuietMode();
        $step = 'exec';
        runs($ssh, 'echo hello', "hello\n", '', 0);
        done('exec');
        $step = 'status';
        runs($ssh, 'fail 7', '', "as you wish\n", 7);
        done('status');
        $step = 'idle';
        sleep((int) getenv('IDLE'));
        runs($ssh, 'echo again', "again\n", '', 0);
        $ssh->disconnect();
        done('idle');
        $step = 'password';
        $ssh = dial(getenv('TARGET_PASSWORD'));
        runs($ssh, 'echo in', "in\n", '', 0);
        $ssh->disconnect();
        done('password');
    },
    'once' => function () {
        global $step;
        $ssh = dial();
        $step = 'pty';
        $ssh->setWindowSize(81, 25);
        $ssh->enablePTY();
        want($ssh->exec('stty size; exit 3'), 'exec');
        $said = $ssh->read();
        want(strpos($said, '25 81') !== false && $ssh->getExitStatus() === 3, "$said");
        done('pty');
    },
];

try {
    $modes[$mode]();
} catch (Throwable $error) {
    echo json_encode(['step' => $step, 'ok' => false, 'error' => (string) $error]), "\n";
    exit(1);
}
