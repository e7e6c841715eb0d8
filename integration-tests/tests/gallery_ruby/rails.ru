# A whole Rails app in one file: what frameworks offer that needs more of a server than a response.

require 'rails'
require 'active_record/railtie'
require 'active_storage/engine'
require 'action_controller/railtie'
require 'action_view/railtie'
require 'action_cable/engine'

ENV['DATABASE_URL'] = "sqlite3:#{__dir__}/gallery.sqlite3"

class Gallery < Rails::Application
  config.load_defaults 6.1
  config.root = __dir__
  config.eager_load = true
  config.cache_classes = true
  config.secret_key_base = 'x' * 64
  config.logger = Logger.new($stderr, level: :warn)
  config.active_storage.service = :local
  config.active_storage.service_configurations = {
    'local' => { 'service' => 'Disk', 'root' => File.join(__dir__, 'storage') }
  }
  config.action_cable.cable = { 'adapter' => 'async' }
  config.action_cable.mount_path = '/cable'
  config.action_cable.disable_request_forgery_protection = true
end

Rails.application.initialize!

class Document < ActiveRecord::Base
  has_one_attached :file
end

module ApplicationCable
  class Connection < ActionCable::Connection::Base
    identified_by :place

    def connect
      self.place = Rack::Utils.unescape_path(request.path)
    end
  end
end

class RoomChannel < ActionCable::Channel::Base
  def subscribed
    stream_from('room')
  end

  def speak(data)
    ActionCable.server.broadcast('room', { 'said' => "#{data['words']} at #{place}" })
  end
end

class GalleryController < ActionController::Base
  skip_forgery_protection
  prepend_view_path File.join(__dir__, 'views')

  def pid = render(plain: Process.pid.to_s)

  def conditional
    render plain: 'fresh' if stale?(etag: 'v1', last_modified: Time.at(1_000_000_000))
  end

  def file = send_file(File.join(Rails.root, 'bytes.bin'), type: 'application/octet-stream')

  def data = send_data("\0\xFF".b * 50_000, filename: 'a b é.bin')

  def streamed = render(:streamed, stream: true, layout: 'gallery')

  def upload
    document = Document.create!(file: params.require(:file))
    render json: { redirect: rails_blob_path(document.file), proxy: rails_storage_proxy_path(document.file) }
  end

  def broadcast
    ActionCable.server.broadcast('room', { 'said' => params[:words] })
    head :no_content
  end

  def echo = render(json: { path: params[:path], uri: request.fullpath })
end

class LiveController < ActionController::Base
  include ActionController::Live

  def show
    response.headers['Content-Type'] = 'text/event-stream'
    response.headers['Last-Modified'] = Time.now.httpdate
    response.stream.write("data: one\n\n")
    sleep(0.01) until File.exist?(File.join(Rails.root, 'scratch', 'live.go'))
    response.stream.write("data: two\n\n")
    response.stream.write("data: #{params[:path]}\n\n") if params[:path]
  ensure
    response.stream.close
  end
end

Rails.application.routes.append do
  get '/live(/*path)', to: 'live#show', format: false
  get '/streamed/*path', to: 'gallery#streamed', format: false
  get '/echo/*path', to: 'gallery#echo', format: false
  post '/upload', to: 'gallery#upload'
  post '/broadcast', to: 'gallery#broadcast'
  %w[pid conditional file data streamed].each { |name| get "/#{name}", to: "gallery##{name}" }
end
Rails.application.reload_routes!

unless ActiveRecord::Base.connection.table_exists?(:documents)
  ActiveRecord::Schema.verbose = false
  ActiveRecord::Schema.define do
    create_table(:documents)
    create_table :active_storage_blobs do |table|
      %i[key filename content_type service_name checksum].each { |name| table.string name }
      table.text :metadata
      table.bigint :byte_size
      table.datetime :created_at
    end
    create_table :active_storage_attachments do |table|
      %i[name record_type].each { |name| table.string name }
      table.bigint :record_id
      table.bigint :blob_id
      table.datetime :created_at
    end
  end
end

run Rails.application
