<?php
// A front controller, as php -S serves it.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
switch ($path) {
case '/count':
    session_save_path('scratch');
    session_start();
    $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
    echo $_SESSION['count'];
    break;
case '/upload':
    $file = $_FILES['file'];
    echo $file['name'], ' ', $file['size'], ' ', hash_file('sha256', $file['tmp_name']), ' ', $_POST['note'];
    break;
case '/stream':
    header('Content-Type: text/plain');
    for ($part = 0; $part < 3; $part++) {
        echo "part $part\n";
        flush();
    }
    break;
case '/input':
    http_response_code(201);
    header('X-Method: ' . $_SERVER['REQUEST_METHOD']);
    echo file_get_contents('php://input');
    break;
case '/moved':
    header('Location: /elsewhere');
    break;
default:
    setcookie('a', '1');
    setcookie('b', '2');
    echo $_SERVER['REQUEST_METHOD'], ' ', $path, ' ', rawurldecode($path), ' ', $_GET['q'] ?? '';
}
